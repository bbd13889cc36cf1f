//! Devices over MQTT: Eclipse Mosquitto, Apache Kafka, mosquitto_pub and a Python client on one side, the bridge between.
mod clients;
mod faults;
mod hostile;
mod outages;
mod scene;
mod telemetry;
