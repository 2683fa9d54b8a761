# The pipeline: one image for Dagster's page, its daemon, the code location and every run, and for MLflow's server.
#   docker build -f deploy/images/pipeline.Dockerfile --build-arg COMMIT=$(git rev-parse HEAD) -t brs-pipeline .
ARG PYTHON=python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3

FROM ${PYTHON} AS build
WORKDIR /build
COPY deploy/pipeline.lock .
RUN python -m venv /opt/brs \
    && /opt/brs/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r pipeline.lock \
    && /opt/brs/bin/pip uninstall --yes --quiet pip
COPY brs.py /app/
COPY data /app/data
COPY models /app/models
COPY pipelines /app/pipelines
COPY deploy/__init__.py deploy/dagster.yaml /app/deploy/
COPY deploy/local /app/deploy/local
RUN /opt/brs/bin/python -m compileall -q /app

FROM ${PYTHON}
# Volumes that are new take the owner of the folder they hide. libgomp1: implicit's threads; its wheel does not bring them along.
RUN apt-get update \
    && apt-get install -y --no-install-recommends 'tini=0.19.0-1*' libgomp1=12.2.0-14* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin brs \
    && install -d -o brs -g brs /var/lib/brs /var/lib/mlflow /opt/dagster
COPY --from=build /opt/brs /opt/brs
COPY --from=build /app /app
# Amazon's own list of who vouches for RDS; it changes when a region or a year comes, so its hash cannot be fixed here.
ADD --chmod=0444 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/brs/rds.pem
ARG COMMIT=""
ENV PATH=/opt/brs/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp \
    BRS_HOME=/var/lib/brs \
    BRS_COMMIT=$COMMIT \
    DAGSTER_HOME=/opt/dagster \
    DAGSTER_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_WAIT_POLICY=passive \
    OPENBLAS_NUM_THREADS=1
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/brs
STOPSIGNAL SIGTERM
# What is healthy differs with the command: compose and Kubernetes say it.
HEALTHCHECK NONE
ENTRYPOINT ["tini", "--"]
# The code location; the page, the daemon and MLflow's server are other commands.
EXPOSE 4000
CMD ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", "4000", "--module-name", "pipelines.definitions", "--location-name", "pipelines"]
