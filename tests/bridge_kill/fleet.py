"""Devices that publish with QoS 1 through a persistent session each, and note what their broker acknowledged.

A broker that knows no subscriber says so and drops the message: it is published again. Mosquitto forgets shared subscriptions over a restart.

Arguments: port, number of devices, messages in all, file for the acknowledged ones (a line each: device, sequence number). Lines on standard
input say how many messages may be published so far. Prints how many are acknowledged, a line for every hundred, and ends when all are.
"""
import json
import os
import select
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

NO_SUBSCRIBER = 16

port, devices, messages = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
accepted = open(sys.argv[4], "w")
done = 0
allowed = 0


class Device:
    def __init__(self, number):
        self.name = f"device-{number:03}"
        self.next = 0
        self.mine = messages // devices + (1 if number < messages % devices else 0)
        self.sent = {}
        self.again = []
        self.retry_at = 0.0
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"fleet-{self.name}", protocol=mqtt.MQTTv5)
        client.max_inflight_messages_set(20)
        client.on_publish = self.on_publish
        self.client = client

    def on_publish(self, client, userdata, message_id, reason, properties):
        global done
        sequence = self.sent.pop(message_id, None)
        if sequence is not None and reason.value == NO_SUBSCRIBER:
            self.again.append(sequence)
            return
        # An acknowledgement may come a second time for a message that was sent again.
        if sequence is not None:
            accepted.write(f"{self.name} {sequence}\n")
            done += 1
            if done % 100 == 0:
                print(done, flush=True)

    def connect(self, now):
        if now < self.retry_at:
            return
        self.retry_at = now + 0.5
        try:
            session = Properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = 3600
            self.client.connect("127.0.0.1", port, keepalive=60, clean_start=False, properties=session)
        except OSError:
            pass

    def publish(self, due):
        while len(self.sent) < 20:
            if self.again:
                sequence = self.again.pop()
            elif self.next < due:
                sequence = self.next
                self.next += 1
            else:
                return
            event = {"seq": sequence, "event_time": 1_790_000_000_000 + sequence * 1000, "temperature": 20.5 + sequence % 7}
            info = self.client.publish(f"devices/{self.name}/telemetry", json.dumps(event), qos=1)
            self.sent[info.mid] = sequence


fleet = [Device(number) for number in range(devices)]
checked = time.monotonic()
while done < messages:
    now = time.monotonic()
    while allowed < messages and select.select([0], [], [], 0)[0]:
        # Unbuffered, as `select` knows nothing of a buffer's lines.
        lines = os.read(0, 65536).split()
        allowed = int(lines[-1]) if lines else messages
    sockets = {}
    for device in fleet:
        if device.client.socket() is None:
            device.connect(now)
            continue
        device.publish(min(device.mine, device.mine * allowed // messages))
        # Publishing may have found out that the connection is gone.
        socket = device.client.socket()
        if socket is not None:
            sockets[socket.fileno()] = device
    writing = [number for number, device in sockets.items() if device.client.want_write()]
    readable, writable, _ = select.select(list(sockets), writing, [], 0.02)
    for number in readable:
        if sockets[number].client.socket() is not None:
            sockets[number].client.loop_read()
    for number in writable:
        if sockets[number].client.socket() is not None:
            sockets[number].client.loop_write()
    if now - checked > 1:
        checked = now
        for device in fleet:
            device.client.loop_misc()
accepted.close()
for device in fleet:
    device.client.disconnect()
print(done, flush=True)
