"""A process that takes workflows from the queue. Arguments: the database's URL, the seconds between two looks."""

import sys
import threading

from dbos import DBOS
from flows import QUEUE, application

application(sys.argv[1])
DBOS.launch()
DBOS.register_queue(QUEUE, polling_interval_sec=float(sys.argv[2]))
print("takes work", flush=True)
threading.Event().wait()
