"""The table of client × case, and where the brokers differ."""

import difflib


def table(outcomes, cases):
    """A row for each case, a column for each client; in it the embedded broker's outcome and Apache Kafka's."""
    clients = list(dict.fromkeys(client for client, _, _ in outcomes))
    brokers = list(dict.fromkeys(broker for _, _, broker in outcomes))
    width = max([len(client) for client in clients] + [6 * len(brokers)]) + 2
    lines = ["", f"{'':26}" + "".join(f"{client:{width}}" for client in clients)]
    lines.append(f"{' / '.join(brokers):26}")
    for case in cases:
        cells = []
        for client in clients:
            statuses = [outcomes[client, case, b][0] for b in brokers if (client, case, b) in outcomes]
            cells.append(f"{' / '.join(statuses):{width}}")
        if any(cell.strip() for cell in cells):
            lines.append(f"{case:26}" + "".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def differences(outcomes):
    """What failed and why, and what came out otherwise at the two brokers, line by line."""
    lines = []
    for (client, case, broker), (status, reason, _) in outcomes.items():
        if status == "FAIL":
            lines.append(f"{client} {case} {broker}: {reason}")
    for client, case in dict.fromkeys((client, case) for client, case, _ in outcomes):
        ours, kafkas = outcomes.get((client, case, "embedded")), outcomes.get((client, case, "apache"))
        if ours and kafkas and (ours[0], ours[2]) != (kafkas[0], kafkas[2]):
            lines.append(f"{client} {case}: the brokers differ (- apache, + embedded)")
            compared = difflib.unified_diff(kafkas[2], ours[2], lineterm="", n=0)
            lines += [f"    {line[:400]}" for line in list(compared)[2:] if not line.startswith("@@")]
    return "".join(f"{line}\n" for line in lines)
