"""The HTTP ring around ``ecg_ka``: one ECG file in, one estimate or problem out; started by ``python -m service``."""
