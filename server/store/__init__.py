"""The database: MongoDB through motor, and the private mongod. Nothing else imports a driver."""
