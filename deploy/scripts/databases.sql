-- Three databases, an owner each, and nobody else in them. May be run again: it sets the passwords to those given.
-- psql's variables: brs_password, dagster_password, mlflow_password.
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['brs', 'dagster', 'mlflow']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE brs PASSWORD :'brs_password';
ALTER ROLE dagster PASSWORD :'dagster_password';
ALTER ROLE mlflow PASSWORD :'mlflow_password';

-- Whoever makes a database for another must be able to act as them; RDS' administrator is no superuser.
SELECT format('GRANT %I TO CURRENT_USER', name) FROM unnest(ARRAY['brs', 'dagster', 'mlflow']) AS name
WHERE NOT pg_has_role(CURRENT_USER, name, 'SET') \gexec

-- C.UTF-8: sorting is the same whatever the machine, as in the embedded server.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 LOCALE_PROVIDER builtin LOCALE %L', name, name, 'C.UTF-8')
FROM unnest(ARRAY['brs', 'dagster', 'mlflow']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

REVOKE CONNECT ON DATABASE brs, dagster, mlflow FROM PUBLIC;
