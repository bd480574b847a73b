-- Makes the rotator's identity a database principal of Azure Database for PostgreSQL, so that the tokens that it mints are
-- accepted as passwords. Run it in the database `postgres`, signed in as a Microsoft Entra administrator of the server:
--
--   export PGPASSWORD="$(az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv)"
--   psql "host=SERVER.postgres.database.azure.com dbname=postgres user=ADMIN sslmode=require" \
--     --set role=postgres-mcp --set object_id=OBJECT-ID --set database=app --file infra/examples/postgres-principal.sql
--
-- `role` is the name that readers log in with (`user` of the output), `object_id` the output IDENTITY_PRINCIPAL_ID of the
-- deployment. The principal is no administrator and needs no multi-factor authentication: it is a service.
\set ON_ERROR_STOP on

select not exists (select from pg_roles where rolname = :'role') as is_new \gset
\if :is_new
  select * from pgaadauth_create_principal_with_oid(:'role', :'object_id', 'service', false, false);
\endif

grant connect on database :"database" to :"role";

-- What the role may do is yours to say. In the database itself, for reading everything that is there:
--   grant usage on schema public to "postgres-mcp";
--   grant select on all tables in schema public to "postgres-mcp";
