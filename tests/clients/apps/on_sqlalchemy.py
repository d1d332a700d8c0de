"""A small shop on SQLAlchemy: orders and items, as an application would write it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import URL, ForeignKey, String, create_engine, func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from sqlalchemy.util import await_only, greenlet_spawn

from expect import Checks, expect

check = CHECKS = Checks()

THREADS = 8
SALES = 30
STOCK = 1000
NAMES = ("pen", "ink", "paper")


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    stock: Mapped[int] = mapped_column(default=0)


class Order(Base):
    __tablename__ = "sale"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(String(80))
    lines: Mapped[list["Line"]] = relationship(back_populates="order", cascade="all, delete-orphan")


class Line(Base):
    __tablename__ = "line"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("sale.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    count: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")
    item: Mapped[Item] = relationship()


def shops(dialect, host, port, account, database):
    for driver in dialect.drivers:
        url = URL.create(f"{dialect.name}+{driver}", account.user, account.password, host, port, database)
        shop = AsyncShop if driver == "asyncpg" else Shop
        yield f"sqlalchemy over {driver}", shop(dialect, url)


class Shop:
    """The application: an engine with a pool of connections, and the tables."""

    POOL = {"pool_pre_ping": True, "pool_size": 4, "max_overflow": THREADS}

    def __init__(self, dialect, url):
        self.dialect = dialect
        self.engine = create_engine(url, **self.POOL)

    def run(self, work, *args):
        return work(*args)

    def at_once(self, work, numbers):
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, numbers))

    def restock(self):
        Base.metadata.drop_all(self.engine)
        Base.metadata.create_all(self.engine)
        with self.session() as session:
            session.add_all(Item(name=name, stock=STOCK) for name in NAMES)
            session.commit()

    def close(self):
        self.engine.dispose()

    def session(self):
        return Session(self.engine)

    def sell(self, customer, name, count):
        """Takes items from the stock and writes the order, in one transaction."""
        with self.session() as session, session.begin():
            item = session.scalars(select(Item).where(Item.name == name).with_for_update()).one()
            item.stock -= count
            session.add(Order(customer=customer, lines=[Line(item=item, count=count)]))

    def stock(self, name):
        with self.session() as session:
            return session.scalar(select(Item.stock).where(Item.name == name))


class AsyncShop(Shop):
    """The same on a driver for asyncio: what runs is in a greenlet, from where SQLAlchemy awaits the driver."""

    def __init__(self, dialect, url):
        self.dialect = dialect
        self.loop = asyncio.new_event_loop()
        self.engine = create_async_engine(url, **self.POOL).sync_engine

    def run(self, work, *args):
        return self.loop.run_until_complete(greenlet_spawn(work, *args))

    def at_once(self, work, numbers):
        turns = asyncio.Semaphore(THREADS)

        async def one(number):
            async with turns:
                await greenlet_spawn(work, number)

        async def all_of_them():
            await asyncio.gather(*(one(number) for number in numbers))

        await_only(all_of_them())

    def close(self):
        self.run(super().close)
        self.loop.close()


@check
def an_order_is_written_and_read_with_its_lines(shop):
    shop.sell("ann", "pen", 2)
    with shop.session() as session:
        whole = selectinload(Order.lines).selectinload(Line.item)
        order = session.scalars(select(Order).options(whole)).one()
        expect([(line.item.name, line.count) for line in order.lines], [("pen", 2)])
    expect(shop.stock("pen"), STOCK - 2)


@check
def a_relationship_loads_when_it_is_used(shop):
    shop.sell("ben", "ink", 1)
    with shop.session() as session:
        order = session.scalars(select(Order)).one()
        expect(order.lines[0].item.name, "ink")
        session.delete(order)
        session.commit()
        expect(session.scalar(select(func.count(Line.id))), 0)


@check
def a_failed_commit_rolls_back_and_the_session_goes_on(shop):
    with shop.session() as session:
        session.add(Item(name="brush"))
        session.flush()
        session.add(Item(name="pen"))
        try:
            session.commit()
        except IntegrityError as error:
            expect(shop.dialect.code(error.orig), shop.dialect.duplicate)
        else:
            raise AssertionError("a duplicate name was accepted")
        session.rollback()
        expect(session.scalar(select(func.count(Item.id))), len(NAMES))


@check
def a_savepoint_keeps_the_outer_work(shop):
    with shop.session() as session:
        session.add(Item(name="glue"))
        try:
            with session.begin_nested():
                session.add(Item(name="pen"))
        except IntegrityError:
            pass
        session.commit()
        expect(session.scalar(select(func.count(Item.id))), len(NAMES) + 1)


@check
def rows_are_inserted_in_bulk(shop):
    with shop.session() as session:
        session.execute(Item.__table__.insert(), [{"name": f"item {n}", "stock": n} for n in range(5000)])
        session.execute(update(Item).where(Item.stock == 4999).values(stock=7))
        session.commit()
        expect(session.scalar(select(func.count(Item.id))), 5000 + len(NAMES))
        expect(session.scalar(select(Item.stock).where(Item.name == "item 4999")), 7)


@check
def threads_that_sell_the_same_item_lose_no_sale(shop):
    sold = THREADS * SALES
    shop.at_once(lambda number: shop.sell(f"customer {number}", "paper", 1), range(sold))
    expect(shop.stock("paper"), STOCK - sold)
    with shop.session() as session:
        expect(session.scalar(select(func.sum(Line.count))), sold)


@check
def the_isolation_level_is_that_of_the_connection(shop):
    strict = shop.engine.execution_options(isolation_level="SERIALIZABLE")
    for _ in range(10):
        with strict.connect() as one, shop.engine.connect() as other:
            expect(one.get_isolation_level(), "SERIALIZABLE")
            expect(other.get_isolation_level(), shop.dialect.isolation)


@check
def the_pool_replaces_a_killed_connection(shop):
    with shop.engine.connect() as connection:
        identity = connection.scalar(text(shop.dialect.identity))
        with shop.engine.connect() as killer:
            killer.execute(text(shop.dialect.kill.format(identity)))
        try:
            connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            expect(error.connection_invalidated, True)
        else:
            raise AssertionError("a killed connection answered")
    for _ in range(5):
        with shop.engine.connect() as connection:
            expect(connection.scalar(text("SELECT 1")), 1)
