"""The reward model as a server: `palate serve`.

inputs     what can be scored, what comes of it, and what can go wrong
encoding   inputs to token ids, through the model's own contract
backlog    what waits, a queue a client, and which of it is computed next
worker     the thread that owns the model
engine     the door to both: inputs in, outcomes out, from any event loop
boot       proof, before the first answer, that served rewards are those of the process
metrics    figures for Prometheus
gate       what holds for every request: identity, key, limits, disconnects
service    what every protocol needs of the rest
routes     one module a protocol
app        all of it as one application
server     the process: socket, signals, logs
replicas   several such processes behind one port
"""
