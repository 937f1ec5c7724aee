# Makes the roles, when the server's data are made: shop is service-b's, chaos that of the faults.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
CREATE ROLE shop LOGIN PASSWORD '$ORDERS_DB_PASSWORD';
CREATE ROLE chaos LOGIN PASSWORD '$ORDERS_DB_PASSWORD';
GRANT ALL ON SCHEMA public TO shop;
ALTER DEFAULT PRIVILEGES FOR ROLE shop GRANT SELECT, UPDATE ON TABLES TO chaos;
GRANT pg_signal_backend, pg_read_all_stats TO chaos;
SQL
