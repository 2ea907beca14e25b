# The HTTP service and its workers (the last stage). Its root may be read-only; it writes to /tmp, and to /data where a
# volume lies there. And training, if asked for.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The virtual environment holds no pip: nothing is installed once it serves.
RUN python -m venv --without-pip /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
# Third-party packages come first, in a layer that a change of our code leaves alone.
RUN mkdir ecg_ka && touch ecg_ka/__init__.py \
 && python -m pip --python /opt/venv/bin/python install -c constraints.txt ".[service,exports,postgres,quality]"
COPY ecg_ka ecg_ka
# What serves nobody goes: tests, and the weights of a network of ecgdatakit, of which only a parser is used.
RUN python -m pip --python /opt/venv/bin/python install --no-deps --force-reinstall . \
 && cd /opt/venv/lib/python3.*/site-packages \
 && find numpy scipy pandas matplotlib sklearn pywt -type d -name tests -prune -exec rm -rf {} + \
 && rm -rf pydicom/data/test_files ecgdatakit/processing/nn/weights

# Training, for those who retrain in a container: docker build --target training --build-arg TORCH_INDEX=URL .
# TORCH_INDEX is the package index that torch comes from: one with wheels for the GPUs at hand, or for none.
FROM ${BASE_IMAGE} AS training
ARG TORCH_INDEX=
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /src
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
RUN mkdir ecg_ka && touch ecg_ka/__init__.py && pip install -c constraints.txt ".[training]"
COPY ecg_ka ecg_ka
RUN pip install --no-deps --force-reinstall .
WORKDIR /app
COPY training training
USER 10001:10001
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

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
    ECG_KA_HOST=0.0.0.0 \
    ECG_KA_DATA=/data
# A new volume takes owner and mode of the folder it is laid over. No VOLUME: what is kept is kept where the operator says.
RUN install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY service service
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('ECG_KA_PORT') or 8000), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "service"]
