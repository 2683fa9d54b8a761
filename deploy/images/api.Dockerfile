# The API, and the job that migrates its database: the same layers, two targets.
#   docker build -f deploy/images/api.Dockerfile --target api --build-arg COMMIT=$(git rev-parse HEAD) -t brs-api .
# The tests run on 3.11, so does this. The digest is that of the index of all platforms.
ARG PYTHON=python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3

FROM ${PYTHON} AS build
WORKDIR /build
COPY deploy/serving.lock .
# Bytecode is made here: where the image runs nothing can be written beside the sources.
RUN python -m venv /opt/brs \
    && /opt/brs/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r serving.lock \
    && /opt/brs/bin/pip uninstall --yes --quiet pip setuptools
COPY brs.py /app/
COPY data /app/data
COPY models /app/models
COPY serving /app/serving
COPY deploy/__init__.py deploy/images/ready.py /app/deploy/
COPY deploy/local /app/deploy/local
RUN /opt/brs/bin/python -m compileall -q /app

FROM ${PYTHON} AS api
# Signals reach the service, and whatever it leaves behind is reaped.
RUN apt-get update \
    && apt-get install -y --no-install-recommends 'tini=0.19.0-1*' \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin brs \
    && install -d -o brs -g brs /var/lib/brs
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
    BRS_HOME=/var/lib/brs \
    BRS_COMMIT=$COMMIT
WORKDIR /app
# By number: Kubernetes can tell only then that this is not root.
USER 10001:10001
# Bundles of models; beside it only /tmp is written to, so the root can be read-only.
VOLUME /var/lib/brs
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "/app/deploy/ready.py"]
ENTRYPOINT ["tini", "--", "python", "-m", "brs"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]

FROM api AS migrate
HEALTHCHECK NONE
CMD ["migrate"]
