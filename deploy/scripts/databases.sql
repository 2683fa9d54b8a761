-- Three databases, an owner each, one that reads all of them to back them up, and nobody else in them. May be run again, and
-- wants to be after a restore: it sets the passwords to those given, and who may read.
-- psql's variables: brs_password, dagster_password, mlflow_password, backup_password.
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['brs', 'dagster', 'mlflow', 'backup']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE brs PASSWORD :'brs_password';
ALTER ROLE dagster PASSWORD :'dagster_password';
ALTER ROLE mlflow PASSWORD :'mlflow_password';
ALTER ROLE backup PASSWORD :'backup_password';

-- Whoever makes a database for another must be able to act as them; RDS' administrator is no superuser.
SELECT format('GRANT %I TO CURRENT_USER', name) FROM unnest(ARRAY['brs', 'dagster', 'mlflow']) AS name
WHERE NOT pg_has_role(CURRENT_USER, name, 'SET') \gexec

-- C.UTF-8: sorting is the same whatever the machine, as in the embedded server.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 LOCALE_PROVIDER builtin LOCALE %L', name, name, 'C.UTF-8')
FROM unnest(ARRAY['brs', 'dagster', 'mlflow']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

REVOKE CONNECT ON DATABASE brs, dagster, mlflow FROM PUBLIC;
GRANT CONNECT ON DATABASE brs, dagster, mlflow TO backup;

-- What is there, and what its owner will make.
\connect brs
SET ROLE brs;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO backup;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO backup;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO backup;
\connect dagster
SET ROLE dagster;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO backup;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO backup;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO backup;
\connect mlflow
SET ROLE mlflow;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO backup;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO backup;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO backup;
