"""Copies between tables that behave as boto3's do."""

import unittest

from copy_events import copy


class Table:
    """A table that is scanned in pages of two, and notes what is written."""

    def __init__(self, items=()):
        self.items = list(items)

    def scan(self, ExclusiveStartKey=0):
        end = ExclusiveStartKey + 2
        more = {"LastEvaluatedKey": end} if end < len(self.items) else {}
        return {"Items": self.items[ExclusiveStartKey:end], **more}

    def batch_writer(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def put_item(self, Item):
        self.items.append(Item)


class Copy(unittest.TestCase):
    def test_every_item_of_every_page_is_copied_unless_it_has_expired(self):
        items = [{"pk": str(n), "expires_at": 100 + n} for n in range(5)] + [{"pk": "for ever"}]
        target = Table()
        self.assertEqual(copy(Table(items), target, now=101), (4, 2))
        self.assertEqual(target.items, items[2:])

    def test_an_empty_table_is_copied_at_once(self):
        self.assertEqual(copy(Table(), Table(), now=1), (0, 0))


if __name__ == "__main__":
    unittest.main()
