# The nightly backup of the cluster, and the programs of a restore: Postgres' own of the server's version, and what reaches S3.
#   docker build -f deploy/images/backup.Dockerfile -t brs-backup .
# The same image as compose's server. Nothing is compiled, so there is one stage.
ARG POSTGRES=postgres:18.6-bookworm@sha256:3725f4e2499eef5134592b3b4ab79a543ed7f8e533b05b5b637af926630f6650

FROM ${POSTGRES}
# gosu is how the server's entrypoint stops being root; nobody is root here.
RUN apt-get update \
    && apt-get install -y --no-install-recommends 'tini=0.19.0-1*' 'python3-boto3=1.26.27*' \
    && rm -rf /var/lib/apt/lists/* /usr/local/bin/gosu /usr/local/bin/docker-entrypoint.sh /usr/local/bin/docker-ensure-initdb.sh \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin brs \
    && install -d -o brs -g brs /backups
# Amazon's own list of who vouches for RDS; it changes when a region or a year comes, so its hash cannot be fixed here.
ADD --chmod=0444 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/brs/rds.pem
COPY deploy/scripts/backup deploy/scripts/restore deploy/scripts/postgres.sh deploy/scripts/offsite.py /opt/brs/
RUN printf '#!/bin/sh\nexec python3 /opt/brs/offsite.py "$@"\n' >/usr/local/bin/offsite && chmod 755 /usr/local/bin/offsite
ENV PATH=/opt/brs:/usr/lib/postgresql/18/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    BRS_HOME=/tmp
WORKDIR /backups
USER 10001:10001
# Only here and to /tmp is anything written.
VOLUME /backups
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
ENTRYPOINT ["tini", "--", "offsite"]
CMD ["--help"]
