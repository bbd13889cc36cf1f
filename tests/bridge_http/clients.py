"""Posts numbered records from several threads until it is told to stop; prints what was answered.

Arguments: address, path, token, threads, records per request, file whose existence means stop.
One line per request: status, first number, count. Statuses other than 200 are repeated with the same Idempotency-Key until `stop` exists.
"""
import http.client
import itertools
import os
import sys
import threading
import time

address, path, token, threads, size, stop = sys.argv[1:7]
numbers = itertools.count()
lock = threading.Lock()


def say(status, first):
    with lock:
        print(status, first, size, flush=True)


def post(connection, first):
    lines = (f'{{"device_id": "d{n % 10}", "seq": {n}, "value": 0.5}}\n' for n in range(first, first + int(size)))
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/x-ndjson",
        "Idempotency-Key": f"run-{first}",
        "Prefer": "return=minimal",
    }
    connection.request("POST", path, "".join(lines).encode(), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Retry-After")


def work():
    connection = http.client.HTTPConnection(address, timeout=60)
    while not os.path.exists(stop):
        with lock:
            first = next(numbers) * int(size)
        while True:
            try:
                status, after = post(connection, first)
            except (OSError, http.client.HTTPException):
                connection.close()
                status, after = 0, None
            say(status, first)
            if status == 200 or os.path.exists(stop):
                break
            if status in (429, 503) and after is None:
                say(-status, first)
            time.sleep(0.05)


workers = [threading.Thread(target=work) for _ in range(int(threads))]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
