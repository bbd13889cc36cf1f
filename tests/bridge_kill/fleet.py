"""Devices that publish with QoS 1 through a persistent session each, and note what their broker acknowledged.

Arguments: port, number of devices, messages in all, seconds that the messages are spread over at least, file for the acknowledged ones
(a line each: device, sequence number). Prints how many are acknowledged so far, a line for every thousand, and ends when all are.
"""
import json
import select
import sys
import time

import paho.mqtt.client as mqtt

port, devices, messages, spread = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
accepted = open(sys.argv[5], "w")
done = 0


class Device:
    def __init__(self, number):
        self.name = f"device-{number:03}"
        self.next = 0
        self.mine = messages // devices + (1 if number < messages % devices else 0)
        self.sent = {}
        self.retry_at = 0.0
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"fleet-{self.name}", clean_session=False)
        client.max_inflight_messages_set(20)
        client.on_publish = self.on_publish
        self.client = client

    def on_publish(self, client, userdata, message_id, reason, properties):
        global done
        sequence = self.sent.pop(message_id, None)
        # An acknowledgement may come a second time for a message that was sent again.
        if sequence is not None:
            accepted.write(f"{self.name} {sequence}\n")
            done += 1
            if done % 1000 == 0:
                accepted.flush()
                print(done, flush=True)

    def connect(self, now):
        if now < self.retry_at:
            return
        self.retry_at = now + 0.5
        try:
            self.client.connect("127.0.0.1", port, keepalive=60)
        except OSError:
            pass

    def publish(self, due):
        while self.next < min(self.mine, due) and len(self.sent) < 20:
            event = {"seq": self.next, "event_time": 1_790_000_000_000 + self.next * 1000, "temperature": 20.5 + self.next % 7}
            info = self.client.publish(f"devices/{self.name}/telemetry", json.dumps(event), qos=1)
            self.sent[info.mid] = self.next
            self.next += 1


fleet = [Device(number) for number in range(devices)]
start = time.monotonic()
checked = start
while done < messages:
    now = time.monotonic()
    share = min(1.0, (now - start) / spread) if spread > 0 else 1.0
    sockets = {}
    for device in fleet:
        socket = device.client.socket()
        if socket is None:
            device.connect(now)
            continue
        device.publish(int(device.mine * share) + 1)
        sockets[socket.fileno()] = device
    writing = [number for number, device in sockets.items() if device.client.want_write()]
    readable, writable, _ = select.select(list(sockets), writing, [], 0.02)
    for number in readable:
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
