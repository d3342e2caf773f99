"""PostgreSQL with pgvector: a table whose column `impacts` is a `sparsevec`; its product with a query is the score."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.base.plain import plain
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Found, Question, Rows, Shape
from unweave.errors import BadData

if TYPE_CHECKING:
    import psycopg

TABLE = "unweave_passages"
_MARK = "an export of unweave: "
_CONTENTS = "left(coalesce(fields->>'title', '') || ' ' || coalesce(fields->>'text', ''), 100000)"
_COLUMNS = {"number": "bigint PRIMARY KEY", "id": "text", "impacts": "sparsevec({width})", "fields": "jsonb"}
_EMBEDDING = {"embedding": "vector({width})"}
_WORDS = {"words": f"tsvector GENERATED ALWAYS AS (to_tsvector('simple', {_CONTENTS})) STORED"}
_ASK = """SELECT id, -(impacts <#> %(query)s::sparsevec) AS score FROM unweave_passages
WHERE (impacts <#> %(query)s::sparsevec) <> 0 ORDER BY score DESC, number LIMIT %(cutoff)s"""
_UPSERT = """INSERT INTO unweave_passages ({columns}) VALUES ({given})
ON CONFLICT (number) DO UPDATE SET {renewed}"""
_RANKED = """{name} AS (SELECT number, row_number() OVER (ORDER BY {distance}, number) AS rank FROM {source}
WHERE {matches} ORDER BY rank LIMIT {depth})"""
_ASKED = (
    "(SELECT string_agg(quote_literal(lexeme), ' | ')::tsquery AS asked FROM unnest(to_tsvector('simple', {text})))"
)
_EACH = "SELECT * FROM {}"
_FUSED = """WITH {rankings}
SELECT id, sum(1.0 / ({constant} + rank)) AS score FROM ({ranked}) AS ranked JOIN unweave_passages USING (number)
GROUP BY number, id ORDER BY score DESC, number LIMIT {cutoff};"""


class PostgreSQL:
    """One table in the database that a connection string names; a batch is a transaction."""

    numbers: str = (
        "floats of single precision and an exact product, without an index: pgvector's HNSW is approximate and takes "
        "1,000 concepts a passage at most; a character NUL, which PostgreSQL refuses, becomes a replacement character"
    )
    posting_bytes: float = 10
    ran: bool = True

    def __init__(self, address: str) -> None:
        """Take a connection string, such as postgresql://user@host/database, without a password: it is noted.

        Raises:
            BadData: it is none, or has a password.
        """
        require("PostgreSQL", "postgresql", "psycopg")
        import psycopg

        try:
            has_password = "password" in psycopg.conninfo.conninfo_to_dict(address)
        except psycopg.ProgrammingError as error:
            raise BadData("this is no connection string; expected such as postgresql://user@host/database") from error
        if has_password:
            raise BadData("the connection string has a password; put it into PGPASSWORD or ~/.pgpass, and leave it out")
        self.address = address
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The open connection; each statement is a transaction unless it is in one."""
        if self._connection is None:
            import psycopg

            try:
                self._connection = psycopg.connect(self.address, autocommit=True)
            except psycopg.OperationalError as error:
                raise BadData(f"PostgreSQL does not answer as it should: {plain(str(error), 300)}") from error
        return self._connection

    @contextmanager
    def _answering(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """The open connection; a server that goes away meanwhile is one error, and is asked anew the next time."""
        import psycopg

        try:
            yield self.connection
        except psycopg.OperationalError as error:
            self.close()
            raise BadData(
                f"PostgreSQL went away or gave up: {plain(str(error), 300)}; when it answers again, run the export "
                "again, which goes on where it stopped, or ask again"
            ) from error

    def mapping(self, shape: Shape) -> str:
        columns = {name: kind.format(width=shape.n_latents) for name, kind in _COLUMNS.items()}
        if shape.width:
            columns |= {name: kind.format(width=shape.width) for name, kind in _EMBEDDING.items()}
        columns |= _WORDS if shape.texts else {}
        table = f"CREATE TABLE {TABLE} ({', '.join(f'{name} {kind}' for name, kind in columns.items())});"
        index = [f"CREATE INDEX ON {TABLE} USING gin (words);"] if shape.texts else []
        return "\n".join(["CREATE EXTENSION IF NOT EXISTS vector;", table, *index])

    def request(self, queries: csr_array, cutoff: int) -> str:
        return _ASK.replace("%(query)s", f"'{_written(queries[[0]])}'").replace("%(cutoff)s", str(cutoff)) + ";"

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        product = f"(impacts <#> '{_written(question.weights)}'::sparsevec)"
        ways = {"by_concepts": (product, TABLE, f"{product} <> 0")}
        if question.embedding is not None:
            given = ",".join(f"{value:.9g}" for value in question.embedding.tolist())
            ways["by_embedding"] = (f"embedding <#> '[{given}]'::vector", TABLE, "true")
        if question.text is not None:
            asked = _ASKED.format(text="'" + str(_without_nul(question.text)).replace("'", "''") + "'")
            ways["by_words"] = ("-ts_rank(words, asked)", f"{TABLE}, {asked} AS query", "words @@ asked")
        rankings = [
            _RANKED.format(name=name, distance=distance, source=source, matches=matches, depth=max(DEPTH, cutoff))
            for name, (distance, source, matches) in ways.items()
        ]
        return _FUSED.format(
            rankings=",\n".join(rankings), ranked=" UNION ALL ".join(map(_EACH.format, ways)),
            constant=RANK_CONSTANT, cutoff=cutoff,
        )  # fmt: skip

    def prepare(self, shape: Shape) -> None:
        with self._answering() as connection:
            self._prepare(connection, shape)

    def _prepare(self, connection: psycopg.Connection[tuple[Any, ...]], shape: Shape) -> None:
        found = connection.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", [TABLE]).fetchone()
        said = str(found[0]) if found and found[0] else ""
        if said == _MARK + shape.state:
            return
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [TABLE]).fetchone()
        if there and there[0] and not said.startswith(_MARK):
            raise BadData(f"the table {TABLE} is in the way and is no export of unweave; rename it")
        from psycopg import sql

        with connection.transaction():
            connection.execute("DROP TABLE IF EXISTS unweave_passages")
            for statement in self.mapping(shape).splitlines():
                connection.execute(statement.encode())
            noted = sql.SQL("COMMENT ON TABLE unweave_passages IS {}").format(sql.Literal(_MARK + shape.state))
            connection.execute(noted)

    def count(self) -> int:
        with self._answering() as connection:
            found = connection.execute("SELECT count(*) FROM unweave_passages").fetchone()
        return int(found[0]) if found else 0

    def add(self, rows: Rows) -> None:
        impacts, lines = rows.impacts, []
        for i, passage_id in enumerate(rows.ids):
            row = slice(impacts.indptr[i], impacts.indptr[i + 1])
            vector = sparsevec(impacts.indices[row], impacts.data[row], impacts.shape[1])
            fields = json.dumps(_without_nul(dict(rows.fields[i])), default=str)
            embedding = [] if rows.embeddings is None else [str(rows.embeddings[i].tolist())]
            lines.append((rows.first + i, _without_nul(passage_id), vector, fields, *embedding))
        with self._answering() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_upsert(rows.embeddings is not None), lines)

    def finish(self) -> None:
        with self._answering() as connection:
            connection.execute("ANALYZE unweave_passages")

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        spans = map(slice, queries.indptr[:-1], queries.indptr[1:])
        return [self._found(queries.indices[row], queries.data[row], queries.shape[1], cutoff) for row in spans]

    def _found(self, latents: Sequence[int], weights: Sequence[float], width: int, cutoff: int) -> Found:
        asked = {"query": sparsevec(latents, weights, width), "cutoff": cutoff}
        with self._answering() as connection:
            found = connection.execute(_ASK, asked).fetchall()
        return Found([str(row[0]) for row in found], [float(row[1]) for row in found])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def sparsevec(latents: Sequence[int], values: Sequence[float], width: int) -> str:
    """A sparse vector as pgvector reads it: {number:value,...}/width, numbers from 1; nine digits keep a float.

    A value of 0 is not written, as pgvector keeps none.
    """
    pairs = sorted((int(latent) + 1, float(value)) for latent, value in zip(latents, values, strict=True) if value)
    assert all(math.isfinite(value) for _, value in pairs)
    return f"{{{','.join(f'{number}:{value:.9g}' for number, value in pairs)}}}/{width}"


def _written(query: csr_array) -> str:
    return sparsevec(query.indices, query.data, query.shape[1])


def _upsert(dense: bool) -> bytes:
    columns = [*_COLUMNS, *(_EMBEDDING if dense else {})]
    renewed = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
    given = ", ".join({"impacts": "%s::sparsevec", "embedding": "%s::vector"}.get(name, "%s") for name in columns)
    return _UPSERT.format(columns=", ".join(columns), given=given, renewed=renewed).encode()


def _without_nul(value: Any) -> Any:
    """A value of JSON without a character that PostgreSQL cannot hold, nor halves of characters."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_without_nul(str(key)): _without_nul(one) for key, one in value.items()}
    return [_without_nul(one) for one in value] if isinstance(value, list) else value
