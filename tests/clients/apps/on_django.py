"""A small shop on Django's back ends: migrations, models and transactions."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import django
from django.conf import settings as project
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.db.models import Avg, Count, F, Sum

from expect import Checks, expect

check = CHECKS = Checks()

THREADS = 8
SALES = 15
STOCK = 1000
NAMES = ("pen", "ink", "paper")
MOMENT = datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)


def shops(dialect, host, port, account, database):
    here = {
        "ENGINE": dialect.backend,
        "HOST": host,
        "PORT": port,
        "USER": account.user,
        "PASSWORD": account.password,
        "NAME": database,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
    project.configure(
        DATABASES={"default": here, "warsaw": here | {"TIME_ZONE": "Europe/Warsaw"}},
        INSTALLED_APPS=["apps.django_shop"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    yield "django", Shop(dialect)


class Shop:
    """The application. Its models can be imported only once Django is set up."""

    def __init__(self, dialect):
        from apps.django_shop.models import Item, Line, Order

        self.items, self.lines, self.orders = Item.objects, Line.objects, Order.objects
        self.dialect = dialect
        self.migrate()

    def migrate(self, *target):
        call_command("migrate", *target, verbosity=0)

    def run(self, work, *args):
        return work(*args)

    def restock(self):
        self.orders.all().delete()
        self.items.all().delete()
        self.items.bulk_create(self.items.model(name=name, stock=STOCK) for name in NAMES)

    def close(self):
        connections.close_all()

    def sell(self, customer, name, count):
        """Takes items from the stock and writes the order, in one transaction."""
        with transaction.atomic():
            item = self.items.select_for_update().get(name=name)
            item.stock -= count
            item.save()
            order = self.orders.create(customer=customer, placed=MOMENT)
            self.lines.create(order=order, item=item, count=count)


@check
def migrations_go_back_and_forth(shop):
    shop.migrate("django_shop", "zero")
    expect([name for name in connection.introspection.table_names() if name.startswith("django_shop")], [])
    shop.migrate()
    # The second migration fills in what the first has not.
    expect(list(shop.items.values_list("name", "stock")), [("sample", 1)])


@check
def rows_are_made_read_changed_and_deleted(shop):
    pen = shop.items.get(name="pen")
    shop.items.filter(pk=pen.pk).update(stock=F("stock") - 1)
    pen.refresh_from_db()
    expect(pen.stock, STOCK - 1)
    brush, is_new = shop.items.get_or_create(name="brush", defaults={"details": {"size": [1, None]}})
    expect((is_new, shop.items.get(details__size=[1, None]).pk), (True, brush.pk))
    brush.delete()
    expect(sorted(shop.items.values_list("name", flat=True)), sorted(NAMES))
    expect(shop.items.aggregate(Sum("stock"), Avg("stock"))["stock__sum"], len(NAMES) * STOCK - 1)


@check
def related_rows_are_read_with_their_order(shop):
    for number in range(3):
        shop.sell(f"customer {number}", "ink", number + 1)
    orders = shop.orders.prefetch_related("lines__item").order_by("pk")
    counts = [[(line.item.name, line.count) for line in order.lines.all()] for order in orders]
    expect(counts, [[("ink", 1)], [("ink", 2)], [("ink", 3)]])
    expect([order.many for order in shop.orders.annotate(many=Count("lines"))], [1, 1, 1])


@check
def an_atomic_block_is_undone_as_a_whole(shop):
    try:
        with transaction.atomic():
            shop.items.create(name="brush")
            shop.items.create(name="pen")
    except IntegrityError as error:
        expect(shop.dialect.code(error.__cause__), shop.dialect.duplicate)
    expect(shop.items.count(), len(NAMES))


@check
def an_inner_atomic_block_is_undone_alone(shop):
    with transaction.atomic():
        shop.items.create(name="brush")
        try:
            with transaction.atomic():
                shop.items.create(name="pen")
        except IntegrityError:
            pass
        expect(shop.items.count(), len(NAMES) + 1)
    expect(shop.items.count(), len(NAMES) + 1)


@check
def what_is_to_run_on_commit_runs_after_it(shop):
    seen = []
    with transaction.atomic():
        shop.items.create(name="brush")
        transaction.on_commit(lambda: seen.append(shop.items.count()))
        expect(seen, [])
    expect(seen, [len(NAMES) + 1])


@check
def threads_that_sell_the_same_item_lose_no_sale(shop):
    def work(number):
        try:
            for _ in range(SALES):
                shop.sell(f"customer {number}", "paper", 1)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    expect(shop.items.get(name="paper").stock, STOCK - THREADS * SALES)
    expect(shop.lines.aggregate(Sum("count")), {"count__sum": THREADS * SALES})


@check
def each_database_connection_has_its_own_zone(shop):
    # The same row, read over a connection in UTC and over one in local time.
    order = shop.orders.create(customer="ann", placed=MOMENT)
    for _ in range(5):
        expect(shop.orders.get(pk=order.pk).placed, MOMENT)
        shown = shop.orders.using("warsaw").get(pk=order.pk).placed
        wanted = (shop.dialect.noon_in_warsaw, 123456, "Europe/Warsaw")
        expect((shown.hour, shown.microsecond, str(shown.tzinfo)), wanted)


@check
def a_killed_connection_is_replaced_at_the_next_request(shop):
    with connection.cursor() as cursor:
        cursor.execute(shop.dialect.identity)
        (identity,) = cursor.fetchone()
    with connections["warsaw"].cursor() as killer:
        killer.execute(shop.dialect.kill.format(identity))
    try:
        shop.items.count()
    except OperationalError:
        # What Django does between two requests.
        connection.close_if_unusable_or_obsolete()
    else:
        raise AssertionError("a killed connection answered")
    expect(shop.items.count(), len(NAMES))
