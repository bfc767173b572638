"""lab-sync: a name is passed once every node has arrived at it, and fails once one of them cannot any more."""


class Barriers:
    """answer(node, ticket, reason): reason is "" where the barrier was passed."""

    def __init__(self, nodes, answer):
        self._nodes = nodes
        self._answer = answer
        self._waiting = {}  # name: {node: [ticket, ...]}
        self._gone = {}     # node: why it will not arrive

    def arrive(self, node, name, ticket):
        self._waiting.setdefault(name, {}).setdefault(node, []).append(ticket)
        self._settle(name)

    def leave(self, node, reason):
        self._gone.setdefault(node, reason)
        for name in list(self._waiting):
            self._settle(name)

    def _settle(self, name):
        arrived = self._waiting[name]
        if len(arrived) == self._nodes:
            for node in list(arrived):
                self._answer(node, arrived[node].pop(0), "")
                if not arrived[node]:
                    del arrived[node]
        missing = [node for node in self._gone if node not in arrived]
        if arrived and missing:
            reason = "; ".join(self._gone[node] for node in missing)
            for node, tickets in arrived.items():
                for ticket in tickets:
                    self._answer(node, ticket, reason)
            arrived.clear()
        if not arrived:
            del self._waiting[name]
