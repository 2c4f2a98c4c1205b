"""Copies the events of a restored table into the one that is in service.

    python infra/copy_events.py RESTORED TARGET

Needs boto3: run it with the Python of the environment that has the SAM CLI, which brings it.

Writes every item as it is, except those that have expired. Safe to run again: an item that is
there already is written as it was, which DynamoDB's stream does not report.
"""

import sys
import time

import boto3

PAGES_PER_LINE = 100


def copy(restored, target, now):
    """Copies, and tells how many were copied and how many had expired."""
    copied = expired = 0
    with target.batch_writer() as writer:
        for number, page in enumerate(pages(restored), 1):
            for item in page:
                if item.get("expires_at", now + 1) <= now:
                    expired += 1
                    continue
                writer.put_item(Item=item)
                copied += 1
            if number % PAGES_PER_LINE == 0:
                print(f"{copied} copied so far", flush=True)
    return copied, expired


def pages(table):
    answer = table.scan()
    yield answer["Items"]
    while "LastEvaluatedKey" in answer:
        answer = table.scan(ExclusiveStartKey=answer["LastEvaluatedKey"])
        yield answer["Items"]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    database = boto3.resource("dynamodb")
    tables = [database.Table(name) for name in sys.argv[1:]]
    print("%d copied, %d had expired" % copy(*tables, int(time.time())))
