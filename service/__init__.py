"""The HTTP ring around ``ecg_ka``: one ECG file in, one estimate or one problem out. Start it: ``python -m service``."""
