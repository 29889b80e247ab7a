"""The message broker behind one port: RabbitMQ, or an in-process one for development and tests."""
