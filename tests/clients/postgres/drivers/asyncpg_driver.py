"""asyncpg: a protocol of its own in Cython, binary values, every statement prepared."""

import asyncio
import concurrent.futures
import io
import ssl
import threading

import asyncpg

from adapter import Refused, Result, Statement
from expect import PATIENCE_S
from session import Session, plain_rows


class Loop:
    """An event loop in a thread of its own, for all sessions."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10 * PATIENCE_S)


LOOP = Loop()


def wait(coroutine):
    try:
        return LOOP.run(coroutine)
    except asyncpg.PostgresError as error:
        raise Refused(error.sqlstate, str(error)) from error


class AsyncPg(Session):
    cannot_carry = {
        "days": "it writes the first day of the year 1 as -infinity",
        "moment": "it writes the first moment of the year 1 as -infinity",
    }
    faults = {"several_statements_give_several_results": "of a simple query it shows only a status"}

    def __init__(self, settings, *, account, database, tls=False):
        self.where = {
            "host": "localhost" if tls else settings.host,
            "port": settings.port,
            "user": account.user,
            "password": account.password,
            "database": database,
            "ssl": authority(settings.ca) if tls else False,
        }
        self.connection = wait(asyncpg.connect(**self.where))

    # What it listens to, and the statement that runs.
    heard = None
    task = None

    def run(self, sql):
        return self.bind(sql)

    def run_all(self, sql):
        return [Result(affected=counted(wait(self.connection.execute(sql))))]

    def bind(self, sql, *args):
        async def work():
            # The statement's task, for `cancel`.
            self.task = asyncio.current_task()
            statement = await self.connection.prepare(sql)
            return result(statement, await statement.fetch(*args))

        return self.outcome(work())

    def outcome(self, coroutine):
        try:
            return wait(coroutine)
        except concurrent.futures.CancelledError as error:
            # The driver has sent a CancelRequest and read the server's error away.
            raise Refused("57014", "cancelled") from error

    def prepare(self, sql):
        statement = wait(self.connection.prepare(sql))

        async def run(args):
            return result(statement, await statement.fetch(*args))

        return Statement(run=lambda *args: wait(run(args)), close=lambda: None)

    def carry(self, select, insert, *, binary):
        if not binary:
            return super().carry(select, insert, binary=binary)
        return wait(self.connection.execute(insert, *wait(self.connection.fetchrow(select))))

    def stream(self, sql):
        async def rows():
            async with self.connection.transaction():
                return [tuple(row) async for row in self.connection.cursor(sql, prefetch=100)]

        yield from wait(rows())

    def copy_in(self, sql, data):
        # The driver writes the statement itself, from the table's name.
        table = sql.split()[1]
        source = io.BytesIO(data.encode())
        wait(self.connection.copy_to_table(table, source=source))

    def copy_out(self, sql):
        what = sql.removeprefix("COPY ").removesuffix(" TO STDOUT")
        target = io.BytesIO()
        if what.startswith("("):
            wait(self.connection.copy_from_query(what[1:-1], output=target))
        else:
            wait(self.connection.copy_from_table(what, output=target))
        return target.getvalue().decode()

    def listen(self, channel):
        async def begin():
            self.heard = self.heard or asyncio.Queue()
            await self.connection.add_listener(channel, self.hear)

        wait(begin())

    def hear(self, _connection, _pid, channel, payload):
        self.heard.put_nowait((channel, payload))

    def notification(self):
        return wait(asyncio.wait_for(self.heard.get(), PATIENCE_S))

    def many(self, sql, rows):
        # All of them behind one Sync.
        wait(self.connection.executemany(sql, rows))

    def pooled(self, size, tasks, *, at_once=True):
        async def work(pool, statements):
            # What it was left with is reset when it is given back.
            async with pool.acquire() as connection:
                for sql in statements:
                    rows = await connection.fetch(sql)
                return Result(rows=plain_rows(rows))

        async def all_of_them():
            async with asyncpg.create_pool(**self.where, min_size=1, max_size=size) as pool:
                if at_once:
                    return await asyncio.gather(*(work(pool, task) for task in tasks))
                return [await work(pool, task) for task in tasks]

        return wait(all_of_them())

    def cancel(self):
        # Its users cancel the task that waits; the driver sends the request and waits for its end.
        if self.task:
            LOOP.loop.call_soon_threadsafe(self.task.cancel)

    def close(self):
        wait(self.connection.close(timeout=5))


def authority(ca):
    return ssl.create_default_context(cafile=ca)


def result(statement, rows):
    if statement.get_attributes():
        return Result(rows=plain_rows(rows))
    return Result(affected=counted(statement.get_statusmsg()))


def counted(status):
    """The number of rows at the end of a command's tag, such as `INSERT 0 3`."""
    last = status.split()[-1] if status else ""
    return int(last) if last.isdigit() else None
