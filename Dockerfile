# The HTTP service. Its root may be read-only; it writes at most to /tmp.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The virtual environment holds no pip: nothing is installed once it serves.
RUN python -m venv --without-pip /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
# Third-party packages come first, in a layer that a change of our code leaves alone.
RUN mkdir ecg_ka && touch ecg_ka/__init__.py \
 && python -m pip --python /opt/venv/bin/python install -c constraints.txt ".[service,exports]"
COPY ecg_ka ecg_ka
RUN python -m pip --python /opt/venv/bin/python install --no-deps --force-reinstall . \
 && find /opt/venv/lib -type d -name tests \
      \( -path "*/numpy/*" -o -path "*/scipy/*" -o -path "*/pandas/*" -o -path "*/matplotlib/*" \) -prune -exec rm -rf {} + \
 && rm -rf /opt/venv/lib/python3.*/site-packages/pydicom/data/test_files

FROM ${BASE_IMAGE} AS service
LABEL org.opencontainers.image.title="ecg-ka" \
      org.opencontainers.image.description="Serum potassium estimated from a 12-lead ECG file, over HTTP. Research use only, not a medical device." \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    ECG_KA_HOST=0.0.0.0
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY service service
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('ECG_KA_PORT') or 8000), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "service"]
