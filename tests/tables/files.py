"""Small files in the shapes of public ones, with invented numbers, and what reading each of them must give."""

import gzip
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

__all__ = ["HEALTHY", "TROUBLE", "File"]


@dataclass(frozen=True, eq=False)
class File:
    """A file, what a reader says at once about it, and what is right.

    Args:
        name: What is peculiar about it.
        content: Its bytes.
        values: What it holds, (N, C); NaN where a straight line fills a gap; None if it is no series.
        file: Its name.
        given: Arguments that a reader gives at once.
        verdict: "reads": at once; "refuses": a message comes first; "either".
        says: Patterns in the first message, if one comes.
        settles: Arguments that messages name, with the values that a reader answers.
        notes: Patterns in the series' notes.
        first: First time, if the file has times without doubt about their zone.
        last: Last time.
    """

    name: str
    content: bytes = field(repr=False)
    values: np.ndarray | None = field(repr=False)
    file: str = "x.csv"
    given: dict = field(default_factory=lambda: {"target": "load"})
    verdict: str = "reads"
    says: tuple[str, ...] = ()
    settles: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None


def numbers(n: int, decimals: int = 1, level: float = 20, size: float = 5, seed: int = 16) -> list[str]:
    """Texts of n numbers that rise and fall."""
    wave = np.sin(np.arange(n) / 4) + np.random.default_rng([seed, n]).normal(0, 0.3, n)
    return [f"{level + size * x:.{decimals}f}" for x in wave]


def floats(*columns: Sequence[str]) -> np.ndarray:
    """(N, C) of texts that `float` reads; NaN for empty ones."""
    return np.array([[float(text or "nan") for text in column] for column in columns]).T


def table(titles: str, *columns: Sequence[str], sep: str = ",") -> str:
    return "\n".join([titles, *map(sep.join, zip(*columns, strict=True))]) + "\n"


def times(first: str, n: int, step: str, form: str = "%Y-%m-%d") -> list[str]:
    return list(pd.date_range(first, periods=n, freq=step).strftime(form))


def grouped(texts: Sequence[str], mark: str, decimal: str = ".") -> list[str]:
    """Numbers with a mark between their thousands."""
    parts = [text.partition(".") for text in texts]
    signs = ["-" if text[0] == "-" else "" for text in texts]
    wholes = [f"{abs(int(whole)):,}".replace(",", mark) for whole, _, _ in parts]
    return [s + w + (decimal + rest if rest else "") for s, w, (_, _, rest) in zip(signs, wholes, parts, strict=True)]


def lakhs(text: str) -> str:
    """Groups of two before the last three."""
    whole, _, rest = text.partition(".")
    head, tail = whole[:-3], whole[-3:]
    pairs = [head[max(0, i - 2) : i] for i in range(len(head), 0, -2)][::-1]
    return ",".join([*pairs, tail]) + "." + rest


def comma(texts: Sequence[str]) -> list[str]:
    return [text.replace(".", ",") for text in texts]


def quoted(texts: Sequence[str]) -> list[str]:
    return [f'"{text}"' for text in texts]


def marked(texts: Sequence[str], rows: Sequence[int], mark: str) -> tuple[list[str], list[str]]:
    """The texts with a mark in some rows, and with nothing there."""
    return [[filler if i in rows else text for i, text in enumerate(texts)] for filler in (mark, "")]


def zipped(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


FILL = {"gaps": "fill"}
TRADING = [  # weekdays without holidays
    day for day in pd.bdate_range("2023-11-01", "2024-03-29") if f"{day:%m-%d}" not in "11-23 12-25 01-01 01-15 02-19"
]
DAYS = [f"{day:%Y-%m-%d}" for day in TRADING]
N = len(DAYS)


def published() -> Iterator[File]:
    """As statistical offices, exchanges and repositories publish them."""
    price, high = numbers(N, 6, 24, 3), numbers(N, 6, 27, 3, seed=2)
    text = "Price,Close,High\nTicker,XYZ,XYZ\nDate,,\n" + table("", DAYS, price, high).lstrip("\n")
    found = floats(price)
    yield File("yfinance", text.encode(), found, given={"target": "Close"}, first=DAYS[0], last=DAYS[-1])

    hours, load = times("2024-01-01", 480, "h", "%d.%m.%Y %H:%M"), numbers(480, 2, 45_000, 9_000)
    until = times("2024-01-01 01:00", 480, "h", "%d.%m.%Y %H:%M")
    title = "Netzlast [MWh] Berechnete Auflösungen"
    smard, span = f"Datum von;Datum bis;{title}", dict(first="2024-01-01T00:00", last="2024-01-20T23:00")
    german = grouped(load, ".", ",")
    text = table(smard, hours, until, german, sep=";")
    yield File("SMARD", text.encode("utf-8-sig"), floats(load), given={"target": title}, **span)
    dashes, gone = marked(german, [7, 8, 200], "-")[0], marked(load, [7, 8, 200], "")[1]
    yield File(
        "SMARD with dashes",
        table(smard, hours, until, dashes, sep=";").encode("utf-8-sig"),
        floats(gone),
        given={"target": title},
        verdict="refuses",
        says=("3",),
        settles=FILL,
        **span,
    )

    stamps, air = times("2024-01-01", 480, "h", "%Y%m%d%H"), numbers(480, 1, 2, 6)
    columns = [["       3987"] * 480, stamps, ["   10"] * 480]
    titles = "STATIONS_ID;MESS_DATUM;QN_9;TT_TU;RF_TU;eor"
    wet, end = [f"{x:>6}" for x in numbers(480, 1, 80, 8)], ["eor"] * 480
    text = table(titles, *columns, [f"{x:>6}" for x in air], wet, end, sep=";")
    yield File("DWD", text.encode(), floats(air), "produkt_tu.txt", {"target": "TT_TU"}, **span)
    bad, gone = marked(air, [50, 51, 52, 300], "-999")
    yield File(
        "DWD with -999",
        table(titles, *columns, [f"{x:>6}" for x in bad], wet, end, sep=";").encode(),
        floats(gone),
        "produkt_tu.txt",
        {"target": "TT_TU"},
        "refuses",
        ("-999", "missing=", "4"),
        {"missing": [-999], **FILL},
        **span,
    )

    weekdays, rate = times("2024-01-01", 120, "B"), numbers(120, 2, 4, 0.3)
    dots, gone = marked(rate, [14, 35], ".")
    fred = dict(given={"target": "DGS10"}, settles=FILL, first=weekdays[0], last=weekdays[-1])
    text = table("observation_date,DGS10", weekdays, dots)
    yield File("FRED with dots", text.encode(), floats(gone), verdict="refuses", says=("2",), **fred)
    months, count = times("2014-01-01", 120, "MS"), numbers(120, 3, 300, 9)
    text = table("DATE,CPI", months, count)
    span = dict(first=months[0], last=months[-1])
    three = dict(verdict="either", says=("thousands=|decimal=",), settles={"decimal": "."})  # or thousands?
    yield File("FRED monthly", text.encode(), floats(count), given={"target": "CPI"}, **three, **span)

    form = [f"{day:%m/%d/%Y}" for day in TRADING]
    dollars, volume = numbers(N, 1, 27_900, 900), numbers(N, 2, 75, 9)
    change = numbers(N, 2, 0, 1)
    columns = [quoted(form), quoted(grouped(dollars, ",")), quoted(x + "K" for x in volume)]
    columns.append(quoted(x + "%" for x in change))
    text = table('"Date","Price","Vol.","Change %"', *(column[::-1] for column in columns)).encode("utf-8-sig")
    span, order = dict(first=DAYS[0], last=DAYS[-1]), ("newest|order|sort|revers",)
    yield File("Investing, price", text, floats(dollars), given={"target": "Price"}, notes=order, **span)
    thousands = floats([x + "e3" for x in volume])
    yield File("Investing, volume in K", text, thousands, given={"target": "Vol."}, verdict="either", says=("K",))
    yield File(
        "Investing, change in %", text, floats(change), given={"target": "Change %"}, verdict="either", says=("%",)
    )
    mixed = [f"{x}K" if i % 3 else f"{float(x) / 10:.2f}M" for i, x in enumerate(volume)]
    right = [float(x[:-1] + {"K": "e3", "M": "e6"}[x[-1]]) for x in mixed]
    text = table("Date,Vol.", DAYS, mixed).encode()
    yield File("K and M", text, np.array(right)[:, None], given={"target": "Vol."}, verdict="either", says=("K|M",))

    weeks, interest = times("2022-01-02", 100, "7D"), numbers(100, 0, 50, 20)
    title = "diet: (Worldwide)"
    head, span = "Category: All categories\n\n", dict(given={"target": title}, first=weeks[0], last=weeks[-1])
    text = head + table(f"Week,{title}", weeks, interest)
    yield File("Google Trends", text.encode(), floats(interest), "multiTimeline.csv", **span)
    low, gone = marked(interest, [3, 4, 60], "<1")
    text = (head + table(f"Week,{title}", weeks, low)).encode()
    less = dict(verdict="refuses", says=("<1", "missing="), settles={"missing": ["<1"], **FILL})
    yield File("Google Trends with <1", text, floats(gone), "multiTimeline.csv", **less, **span)

    days, clock = times("2004-03-10 18:00", 480, "h", "%d/%m/%Y"), times("2004-03-10 18:00", 480, "h", "%H.%M.%S")
    monoxide = numbers(480, 1, 3, 1.5)
    titles, rest = "Date;Time;CO(GT);PT08.S1(CO);;", [["1360"] * 480, [""] * 480, [""] * 480]
    span = dict(first="2004-03-10T18:00", last="2004-03-30T17:00")
    tail = ";;;;;\n" * 30
    text = (table(titles, days, clock, comma(monoxide), *rest, sep=";") + tail).encode()
    yield File("UCI air quality", text, floats(monoxide), given={"target": "CO(GT)"}, **span)
    bad, gone = marked(comma(monoxide), [5, 6, 7, 100, 101], "-200")
    text = (table(titles, days, clock, bad, *rest, sep=";") + tail).encode()
    yield File(
        "UCI air quality with -200",
        text,
        floats([x.replace(",", ".") for x in gone]),
        given={"target": "CO(GT)"},
        verdict="refuses",
        says=("-200", "missing=", "5"),
        settles={"missing": [-200], **FILL},
        **span,
    )
    text = table(
        titles, days[:150], clock[:150], comma(monoxide[:150]), *([x[0]] * 150 for x in rest), sep=";"
    ).encode()
    settled = dict(verdict="either", says=("dayfirst=",), settles={"dayfirst": True})  # only the order of hours tells
    yield File("UCI air quality, to 12 March", text, floats(monoxide[:150]), given={"target": "CO(GT)"}, **settled)

    days, clock = times("2006-12-16 17:24", 500, "min", "%-d/%-m/%Y"), times("2006-12-16 17:24", 500, "min", "%H:%M:%S")
    power, volts = numbers(500, 3, 2, 0.9), numbers(500, 2, 240, 3)
    gaps, gone = marked(power, [10, 11, 12, 13], "?")
    titles, span = "Date;Time;Global_active_power;Voltage", dict(first="2006-12-16T17:24", last="2006-12-17T01:43")
    power_of = {"target": "Global_active_power"}
    text = table(titles, days, clock, power, volts, sep=";").encode()
    yield File("UCI household power", text, floats(power), "power.txt", power_of, **span)
    text = table(titles, days, clock, gaps, volts, sep=";").encode()
    yield File("UCI household power with ?", text, floats(gone), "power.txt", power_of, "refuses", ("4",), FILL, **span)

    when = pd.date_range("2010-01-01", periods=500, freq="h")
    parts = [
        [str(i + 1) for i in range(500)],
        *([str(x) for x in getattr(when, p)] for p in "year month day hour".split()),
    ]
    dust, dew = marked(numbers(500, 0, 90, 30), range(24), "NA"), numbers(500, 0, -15, 5)
    text = table("No,year,month,day,hour,pm2.5,DEWP", *parts, dust[0], dew).encode()
    cut = floats(dust[1])[24:]
    ends = dict(notes=("left out: 24",))  # a straight line has no end there
    beijing = dict(given={"target": "pm2.5"}, **ends)
    yield File("Beijing PM2.5", text, cut, **beijing)
    yield File("Beijing, dew point", text, floats(dew), given={"target": "DEWP"})

    years, month = [str(1980 + i // 12) for i in range(240)], [str(i % 12 + 1) for i in range(240)]
    ppm = numbers(240, 2, 350, 4)
    decimal = [f"{1980 + (i + 0.5) / 12:.4f}" for i in range(240)]
    head = "# ---------------------\n# USE OF THESE DATA\n# Free, with a word of thanks, and without warranty.\n#\n"
    text = head + table("year,month,decimal date,average,sdev", years, month, decimal, ppm, ["-9.99"] * 240)
    yield File("NOAA with # lines", text.encode(), floats(ppm), given={"target": "average"})
    rows = [f"{y}   {m:>2}    {d}      {p}   -9.99" for y, m, d, p in zip(years, month, decimal, ppm, strict=True)]
    text = head + "#             decimal   average\n" + "\n".join(rows) + "\n"
    header = dict(verdict="refuses", says=("title|header",))
    yield File("NOAA, titles behind #", text.encode(), None, "co2_mm.txt", {"target": "average"}, **header)
    text = "year month   decimal   average   sdev\n" + "\n".join(rows) + "\n"
    yield File("NOAA, columns of spaces", text.encode(), floats(ppm), "co2_mm.txt", {"target": "average"})

    days, dew = times("2023-01-01", 200, "D"), numbers(200, 1, 41, 9)
    bad, gone = marked(dew, [20, 21, 90], "9999.9")
    rain = ['" 0.00"' if i % 3 else '" 0.12"' for i in range(200)]
    station = ['"01001099999"'] * 200
    titles, span = '"STATION","DATE","DEWP","PRCP"', dict(first=days[0], last=days[-1])
    columns = [quoted(days), quoted(f"{x:>8}" for x in bad), rain]
    text = table(titles, station, *columns).encode()
    marks = dict(verdict="refuses", says=("9999.9", "missing="), settles={"missing": [9999.9], **FILL})
    yield File("NOAA with 9999.9", text, floats(gone), given={"target": "DEWP"}, **marks, **span)
    yield File("NOAA, rain", text, floats([x.strip('" ') for x in rain]), given={"target": "PRCP"}, **span)

    days, sold = times("2023-01-01", 200, "D"), numbers(200, 1)
    index, span = [str(i + 1) for i in range(200)], dict(first=days[0], last=days[-1])
    text = table('"","date","load"', quoted(index), quoted(days), sold)
    yield File("R, write.csv", text.encode(), floats(sold), **span)
    text = table('"date" "load"', quoted(index), quoted(days), sold, sep=" ")
    yield File("R, write.table", text.encode(), floats(sold), "x.txt", **span)
    text = table('"date","load"', quoted(index), quoted(days), sold)
    yield File("R, one title fewer", text.encode(), floats(sold), **span)

    titles = "Country Name,Country Code,Indicator Name," + ",".join(map(str, range(1960, 2024)))
    rows = [",".join([f"Land {i}", f"L{i:02d}", "GDP", *numbers(64, 1, 900 + i, 50, seed=i)]) for i in range(40)]
    head = '"Data Source","World Development Indicators",\n\n"Last Updated Date","2024-01-01",\n\n'
    wide = dict(given={}, verdict="refuses", says=(r"transpos|wide|across|\.T\b|columns are",))
    yield File("World Bank", (head + "\n".join([titles, *rows]) + "\n").encode(), None, "API.csv", **wide)


def more_published() -> Iterator[File]:
    """More of other people's shapes, each with a trap."""
    n, load = 120, numbers(120, 1)
    values, days = floats(load), times("2023-01-01", 120, "D")
    span, either = dict(first=days[0], last=days[-1]), dict(verdict="either", says=(".",))
    stamps = pd.date_range("2024-01-01", periods=n, freq="15min")
    parts = [
        list(x) for x in (stamps.strftime("%d.%m.%Y"), stamps.strftime("%H:%M"), stamps.shift(1).strftime("%H:%M"))
    ]
    text = table("Datum;Anfang;Ende;load", *parts, grouped(numbers(n, 2, 13_000, 900), ".", ","), sep=";")
    quarters = dict(first="2024-01-01T00:00", last="2024-01-02T05:45")
    yield File("SMARD, older", text.encode(), floats(numbers(n, 2, 13_000, 900)), **quarters)
    spans = [f"{day} - {until}" for day, until in zip(times("2024-01-01", n, "h", "%d.%m.%Y %H:%M"),
             times("2024-01-01 01:00", n, "h", "%d.%m.%Y %H:%M"), strict=True)]  # fmt: skip
    text = table('"Time (CET/CEST)","load"', quoted(spans), quoted(load)).encode()
    yield File("ENTSO-E, spans of time", text, values, settles={"date": False}, **either)
    months = times("2014-01", n, "MS", "%Y-%m")
    fixed = [["ESTAT:PRC(1.0)"] * n, ["24/05/24 23:00:00"] * n, ["M"] * n, ["EA"] * n]
    flags = ["p" if i > 115 else "" for i in range(n)]
    text = table("DATAFLOW,LAST UPDATE,freq,geo,TIME_PERIOD,OBS_VALUE,OBS_FLAG", *fixed, months, load, flags).encode()
    yield File("Eurostat", text, values, given={"target": "OBS_VALUE"}, first="2014-01-01", last="2023-12-01")
    years = [str(1900 + i) for i in range(n)]
    text = table("Entity,Code,Year,load", ["Land A"] * n, ["LA"] * n, years, load).encode()
    yield File("Our World in Data, one land", text, values, first="1900", last="2019")
    both = ["A"] * 60 + ["B"] * 60
    text = table("Entity,Year,load", both, years[:60] * 2, load).encode()
    lands = dict(verdict="refuses", says=("where=", "Entity"), settles={"where": {"Entity": "B"}})
    yield File("Our World in Data, two lands", text, values[60:], **lands)
    text = table("Month,#Passengers", months, numbers(n, 0, 200, 40)).encode()
    yield File("a # in a title", text, floats(numbers(n, 0, 200, 40)), given={"target": "#Passengers"})
    text = table("#,date,load", [str(i + 1) for i in range(n)], days, load).encode()
    yield File("# is the first title", text, values, **span)
    broken, gone = marked(load, [30, 31], "?0.2")
    words = dict(verdict="refuses", says=(r"\?0\.2", "missing="), settles={"missing": ["?0.2"], **FILL})
    yield File("a number behind ?", table("Date,load", days, broken).encode(), floats(gone), **words, **span)
    short = [f"{i // 12 + 1}-{i % 12 + 1:02d}" for i in range(36)]
    yield File("months 1-01", table('"Month","load"', quoted(short), load[:36]).encode(), values[:36], **either)
    decimal = [f"{1980 + (i + 0.5) / 12:.4f}" for i in range(n)]
    ask = dict(verdict="either", says=("target=",), settles={"target": "average"})
    yield File("decimal years", table("decimal date,average", decimal, load).encode(), values, given={}, **ask)
    seconds = [f"{i / 100:.2f}" for i in range(n)]
    ask = dict(verdict="either", says=("target=",), settles={"target": "volt"})
    yield File("elapsed seconds", table("time,volt", seconds, load).encode(), values, given={}, **ask)
    for title in ("sunshine hours", "time on page", "daytime temperature", "index", "No of visits"):
        yield File(f"{title} to forecast", table(f"date,{title}", days, load).encode(), values, given={}, **span)
    count = [str(i + 1) for i in range(n)]
    text = table("date,No", days, count).encode()
    yield File("row numbers, named", text, floats(count), given={"target": "No"}, **span)
    rising = [str(1_000 + 7 * i + int(float(x))) for i, x in enumerate(load)]
    yield File("a total that rises", table("date,cases", days, rising).encode(), floats(rising), given={}, **span)
    text = table('date,"load\n[MW]"', days, load).encode()
    yield File("a title of two lines", text, values, given={"target": "load\n[MW]"}, **span)
    other, rng = numbers(n, 1, 5, 1), np.random.default_rng(8)
    with_input = {"target": "load", "inputs": ["other"]}
    text = table("date,load,other", days, load, marked(other, [5, 6, 90], "-999")[0]).encode()
    right = floats(load, marked(other, [5, 6, 90], "")[1])
    marks = dict(verdict="refuses", says=("-999", "other"), settles={"missing": [-999], **FILL})
    yield File("-999 in an input", text, right, given=with_input, **marks, **span)
    text = table("date,load,other", days, load, marked(other, [5, 6, 90], "NA")[0]).encode()
    lacks = dict(verdict="refuses", says=("other", "3"), settles=FILL)
    yield File("an input with NA", text, right, given=with_input, **lacks, **span)
    yield File("NA where nobody looks", text, values, **span)
    moments = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.exponential(900, n)), unit="s")
    text = table("time,load", [x.isoformat(timespec="milliseconds") for x in moments], load).encode()
    yield File(
        "events at odd moments", text, values, verdict="refuses", says=("regular|gap|step",), settles={"date": False}
    )
    blank, gone = marked(load, [50], "")
    lacks = dict(verdict="refuses", says=("1",), settles=FILL)
    yield File("a blank line in one column", ("load\n" + "\n".join(blank) + "\n\n").encode(), floats(gone), **lacks)
    far = [day.replace("2023-03-05", "2203-03-05") for day in days]
    yield File("one date far away", table("date,load", far, load).encode(), None, verdict="refuses", says=("2203",))


def shops() -> Iterator[File]:
    """Several series in one file."""
    days = times("2024-01-01", 60, "D")
    sales = {shop: numbers(60, 1, 100 * (i + 1), 20, seed=i) for i, shop in enumerate("ABC")}
    first, span = floats(sales["A"]), dict(first=days[0], last=days[-1])
    one = dict(
        verdict="refuses",
        says=("shop", r"where=\{'shop': ('A'|1)"),
        settles={"where": {"shop": "A"}},
        given={"target": "sales"},
    )
    rows = [f"{shop},{day},{sales[shop][i]}" for i, day in enumerate(days) for shop in "ABC"]
    yield File("shops in turn", "\n".join(["shop,date,sales", *rows]).encode(), first, **one, **span)
    rows = [f"{day},{shop},{x}" for shop in "ABC" for day, x in zip(days, sales[shop], strict=True)]
    yield File("shops one below the other", "\n".join(["date,shop,sales", *rows]).encode(), first, **one, **span)
    rows = [f"{shop},{sales[shop][i]}" for i in range(60) for shop in "ABC"]
    yield File("shops without dates", "\n".join(["shop,sales", *rows]).encode(), first, **one)
    rows = [f"{day},{i},{x}" for i, shop in enumerate("ABC", 1) for day, x in zip(days, sales[shop], strict=True)]
    numbered = one | {"settles": {"where": {"shop": 1}}}
    yield File("shops with numbers", "\n".join(["date,shop,sales", *rows]).encode(), first, **numbered, **span)
    rows = [f"{day},{shop},{item},{x}" for shop in "AB" for item, key in zip("xy", "AC", strict=True)
            for day, x in zip(days, sales[key], strict=True)]  # fmt: skip
    two = one | {"settles": {"where": {"shop": "A", "item": "x"}}}
    yield File("shops and items", "\n".join(["date,shop,item,sales", *rows]).encode(), first, **two, **span)
    rows = [f"{day},{a},{b}" for day, a, b in zip(days, sales["A"], sales["B"], strict=True)]
    text = "\n".join(["date,north,south", *rows]).encode()
    asks = dict(verdict="refuses", says=("north", "south", "target="), settles={"target": "north"})
    yield File("two columns, none named", text, first, given={}, **asks, **span)
    again = days.copy()
    again[30] = again[29]
    text = table("date,sales", again, sales["A"]).encode()
    twice = dict(verdict="refuses", says=(r"2024-01-30|30\.01\.2024", "again|repeat|twice|same"))
    yield File("a date twice with other values", text, None, given={"target": "sales"}, **twice)


def signs() -> Iterator[File]:
    """Marks in and around numbers, encodings, packing."""
    n = 120
    days, big = times("2023-01-01", n, "D"), numbers(n, 2, 1_500, 900)
    huge = numbers(n, 2, 1_500_000, 900_000)
    span = dict(first=days[0], last=days[-1])
    known = dict(verdict="either", says=("thousands=",))
    for name, mark in {"an apostrophe": "'", "a raised comma": "’"}.items():
        text = table("date;load", days, grouped(huge, mark), sep=";")
        yield File(f"thousands with {name}", text.encode(), floats(huge), settles={"thousands": mark}, **known, **span)
    for name, mark in {"a space": " ", "a hard space": "\xa0", "a narrow space": "\u202f"}.items():
        text = table("date;load", days, grouped(huge, mark, ","), sep=";")
        yield File(f"thousands with {name}", text.encode(), floats(huge), settles={"thousands": mark}, **known, **span)
    text = table("date,load", days, quoted(grouped(huge, ",")))
    yield File("quoted thousands", text.encode(), floats(huge), **span)
    indian = quoted(map(lakhs, huge))
    yield File("Indian grouping", table("date,load", days, indian).encode(), floats(huge), **known, **span)

    units = numbers(n, 0, 1_000, 300)
    text = table("date,load", days, quoted(grouped(units, ",")))
    yield File("thousands of whole numbers", text.encode(), floats(units), settles={"thousands": ","}, **known, **span)
    text = table("date,load", days, grouped(units, "."))
    doubt = dict(verdict="refuses", says=("thousands=|decimal=", r"1\.\d\d\d"), settles={"thousands": "."})
    shown = doubt | {"verdict": "either", "notes": ("thousands",)}  # decimals would not be three wherever there are any
    yield File("German thousands in a comma file", text.encode(), floats(units), **shown, **span)
    large = numbers(n, 0, 50_000, 9_000)
    text = table("date;load", days, grouped(large, "."), sep=";")
    yield File(
        "dots before three digits, ;",
        text.encode(),
        floats(large),
        **doubt | {"says": ("thousands=|decimal=",)},
        **span,
    )
    text = table("date;load", days, grouped(large, ","), sep=";")
    doubt = dict(verdict="refuses", says=("thousands=|decimal=",), settles={"thousands": ","})
    yield File("commas before three digits, ;", text.encode(), floats(large), **doubt, **span)

    text = table("date,load", days, quoted(comma(big)))
    yield File("quoted decimal commas", text.encode(), floats(big), verdict="either", settles={"decimal": ","}, **span)
    text = table("date,load", days, comma(big))
    fields = dict(verdict="refuses", says=("line|row|field", "decimal|comma|sep"))
    yield File("decimal commas in a comma file", text.encode(), None, **fields)
    both = [x if i % 2 else x.replace(".", ",") for i, x in enumerate(big)]
    text = table("date;load", days, both, sep=";")
    yield File("dots and commas mixed", text.encode(), None, verdict="refuses", says=("decimal=",))

    money = numbers(n, 0, 0, 2_500)
    paren = [f"({x[1:]})" if x[0] == "-" else x for x in grouped(money, ",")]
    either = dict(verdict="either", **span)
    text = table("date,load", days, quoted(paren))
    yield File(
        "negative in parentheses", text.encode(), floats(money), says=(r"\(",), settles={"thousands": ","}, **either
    )
    text = table("date,load", days, quoted(f"${x}" for x in grouped(huge, ",")))
    yield File("dollars", text.encode(), floats(huge), says=(r"\$",), **either)
    text = table("date;load", days, [f"{x} €" for x in comma(big)], sep=";")
    yield File("euros", text.encode(), floats(big), says=("€",), **either)
    cold = numbers(n, 1, 0, 5)
    text = table("date,load", days, [x.replace("-", "−") for x in cold])
    yield File("minus signs", text.encode(), floats(cold), says=("−",), **either)
    text = table("date,load", days, [f"{x} kW" for x in cold])
    yield File("a unit after each number", text.encode(), floats(cold), says=("kW",), **either)
    text = table("date,load\n,kW", days, cold)
    yield File("a line of units", text.encode(), floats(cold), says=("kW",), **either)
    text = table("date,load", days, cold)
    yield File(
        "a footer with the source", (text + "Source: invented\n").encode(), floats(cold), says=("Source",), **either
    )
    text += f"Total,{sum(map(float, cold)):.1f}\n"
    yield File("a footer with the total", text.encode(), floats(cold), says=("Total",), **either)
    broken, gone = marked(cold, [40], "error")
    text = table("date,load", days, broken).encode()
    words = dict(verdict="refuses", says=("error", "missing="), settles={"missing": ["error"], **FILL})
    yield File("a word among numbers", text, floats(gone), **words, **span)
    for mark in ("NA", "N/A", "n/a", "null", "?", "-", "#N/A", "", "NaN", "None", "NULL", "---", ".."):
        holes, gone = marked(cold, [40, 41], mark)
        text = table("date,load", days, holes).encode()
        lacks = dict(verdict="refuses", says=("2", "gaps="), settles=FILL)
        yield File(f"missing as {mark!r}", text, floats(gone), **lacks, **span)
    for mark in ("-99.9", "-9999", "999.9", "99999", "-32768"):
        holes, gone = marked(cold, [40, 41, 70, 90], mark)
        text = table("date,load", days, holes).encode()
        marks = dict(verdict="refuses", says=(mark, "missing="), settles={"missing": [float(mark)], **FILL})
        yield File(f"missing as {mark}", text, floats(gone), **marks, **span)
    endless = [*cold[:60], "inf", *cold[61:]]
    text = table("date,load", days, endless).encode()
    yield File("infinite", text, None, verdict="refuses", says=("inf",))

    title = "Verbrauch (Stück)"
    text = table(f"Tag;{title}", days, comma(big), sep=";")
    said = dict(given={"target": title}, **span)
    yield File("Windows-1252", text.encode("cp1252"), floats(big), **said)
    yield File("UTF-16", text.replace(";", "\t").encode("utf-16"), floats(big), **said)
    text = "sep=;\n" + table("date;load", days, comma(big), sep=";")
    yield File("Excel's sep=;", text.encode(), floats(big), **span)
    text = "sep=,\n" + table("date,load", days, big)
    yield File("Excel's sep=,", text.encode("utf-8-sig"), floats(big), **span)
    text = table("date,load", days, big)
    yield File("zip", zipped({"x.csv": text}), floats(big), "x.zip", **span)
    yield File("gzip", gzip.compress(text.encode()), floats(big), "x.csv.gz", **span)
    yield File(
        "gzip without the ending", gzip.compress(text.encode()), floats(big), says=("gz|pack|compress",), **either
    )
    yield File(
        "zip with two", zipped({"x.csv": text, "y.csv": text}), None, "x.zip", verdict="refuses", says=("2|two",)
    )


def dates() -> Iterator[File]:
    """Times in other people's ways, in other orders, with gaps."""
    n, load = 120, numbers(120, 1)
    values, given, either = floats(load), {}, dict(verdict="either", says=("date=|date",), given={})

    def one(name, column, first=None, last=None, *, title="date", sep=",", **more):
        text = table(f"{title}{sep}load", column, load[: len(column)], sep=sep).encode()
        right = more.pop("values", values[: len(column)])
        return File(name, text, right, first=first, last=last, **{"given": given} | more)

    days = pd.date_range("2024-01-01", periods=n)
    yield one("ISO weeks", [f"2024-W{i + 1:02d}" for i in range(52)], "2024-01-01", "2024-12-23", title="week")
    quarters = [f"{1990 + i // 4}Q{i % 4 + 1}" for i in range(n)]
    yield one("quarters 2020Q1", quarters, "1990-01-01", "2019-10-01", title="quarter")
    yield one(
        "quarters 2020-Q1", [q.replace("Q", "-Q") for q in quarters], "1990-01-01", "2019-10-01", title="TIME_PERIOD"
    )
    yield one(
        "quarters Q1 2020",
        [f"{q[4:]} {q[:4]}" for q in quarters],
        "1990-01-01",
        "2019-10-01",
        title="quarter",
        **either,
    )
    months = [f"{2014 + i // 12}M{i % 12 + 1:02d}" for i in range(n)]
    yield one("months 2024M01", months, "2014-01-01", "2023-12-01", title="month")
    seconds = [str(int(day.timestamp()) // 1) for day in days]
    yield one("epoch seconds", seconds, "2024-01-01", "2024-04-29", title="timestamp")
    yield one("epoch milliseconds", [x + "000" for x in seconds], "2024-01-01", "2024-04-29", title="open_time")
    yield one("numbers 20240101", list(days.strftime("%Y%m%d")), "2024-01-01", "2024-04-29")
    yield one("Excel's day numbers", [str(45_292 + i) for i in range(n)], title="Date", **either)
    yield one("24.01.31", list(days.strftime("%y.%m.%d")), **either)
    yield one("31.01.24", list(days.strftime("%d.%m.%y")), "2024-01-01", "2024-04-29", sep=";", **either)
    yield one("US dates", list(days.strftime("%m/%d/%Y")), "2024-01-01", "2024-04-29")
    yield one("US dates without zeros", list(days.strftime("%-m/%-d/%Y")), "2024-01-01", "2024-04-29")
    yield one("British dates", list(days.strftime("%d/%m/%Y")), "2024-01-01", "2024-04-29")
    starts = pd.date_range("2014-01-01", periods=n, freq="MS")
    doubt = dict(given={}, says=("dayfirst=",))
    span = ("2014-01-01", "2023-12-01")
    month_first = dict(verdict="either", settles={"dayfirst": False})
    yield one("US dates of months", list(starts.strftime("%m/%d/%Y")), *span, **month_first, **doubt)
    day_first = dict(verdict="either", settles={"dayfirst": True})
    yield one("British dates of months", list(starts.strftime("%d/%m/%Y")), *span, **day_first, **doubt)
    years = [f"03/04/{1900 + i}" for i in range(n)]
    yield one(
        "3 April or 4 March", years, "1900-04-03", "2019-04-03", verdict="refuses", settles={"dayfirst": True}, **doubt
    )
    hours = pd.date_range("2024-01-01", periods=n, freq="h")
    yield one(
        "AM and PM", list(hours.strftime("%-m/%-d/%Y %-I:%M:%S %p")), "2024-01-01T00:00", "2024-01-05T23:00", **either
    )
    yield one("AM and PM, ISO", list(hours.strftime("%Y-%m-%d %I:%M %p")), "2024-01-01T00:00", "2024-01-05T23:00")
    yield one("24:00", [f"{day:%d.%m.%Y} {h:02d}:00" for day in days[:5] for h in range(1, 25)], sep=";", **either)
    for name, start in {"spring": "2024-03-29", "autumn": "2024-10-25"}.items():
        local = pd.date_range(start, periods=n, freq="h", tz="Europe/Berlin")
        yield one(f"offsets in {name}", [x.isoformat() for x in local])
        yield one(f"local time in {name}", list(local.strftime("%Y-%m-%d %H:%M")))
        yield one(f"local German time in {name}", list(local.strftime("%d.%m.%Y %H:%M")), sep=";")
        yield one(f"UTC in {name}", list(local.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")))
        quarter = pd.date_range(start, periods=n, freq="15min", tz="Europe/Berlin") + pd.Timedelta("40h")
        yield one(f"quarters of local hours in {name}", list(quarter.strftime("%Y-%m-%d %H:%M")))
    bars = [f"{day} {m // 60:02d}:{m % 60:02d}" for day in DAYS for m in range(570, 960, 30)]
    half = numbers(len(bars), 2, 80, 3)
    text = table("time,price", bars, half).encode()
    yield File("trading half-hours", text, floats(half), given={"target": "price"}, first=bars[0], last=bars[-1])
    minutes = [f"{day} {m // 60:02d}:{m % 60:02d}:00" for day in DAYS[:3] for m in range(570, 960)]
    ticks = numbers(len(minutes), 2, 80, 3)
    text = table("time,price", minutes, ticks).encode()
    yield File("trading minutes", text, floats(ticks), given={"target": "price"}, first=minutes[0], last=minutes[-1])

    newest, order = [x[::-1] for x in (list(days.strftime("%Y-%m-%d")), load)], ("newest|order|sort|revers",)
    yield File("newest first", table("date,load", *newest).encode(), values, notes=order, first="2024-01-01")
    mix = np.random.default_rng(3).permutation(n)
    text = table("date,load", [f"{days[i]:%Y-%m-%d}" for i in mix], [load[i] for i in mix]).encode()
    yield File(
        "rows in no order", text, values, verdict="either", says=("order",), first="2024-01-01", last="2024-04-29"
    )
    newest = [list(starts.strftime("%Y-%m"))[::-1], load[::-1]]
    yield File("months, newest first", table("Date,load", *newest).encode(), values, notes=order, first="2014-01-01")

    def hole(name, column, gone, **more):
        """Rows that are not in the file; straight lines fill them."""
        keep = [i for i in range(len(column)) if i not in gone]
        text = table("date,load", [column[i] for i in keep], [load[i] for i in keep]).encode()
        right = floats(["" if i in gone else x for i, x in enumerate(load[: len(column)])])
        ends = dict(first=column[0], last=column[-1])
        return File(name, text, right, verdict="refuses", settles=FILL, given={}, **ends, **{"says": ("gaps=",)} | more)

    yield hole("a month is missing", list(starts.strftime("%Y-%m-%d")), [40], says=("1", "2017-0[45]", "gaps="))
    yield hole("a year is missing", list(starts.strftime("%Y-%m-%d")), range(40, 52), says=("12", "gaps="))
    yield hole("a day is missing", list(days.strftime("%Y-%m-%d")), [50], says=("2024-02-(19|20)", "gaps="))
    yield hole("some hours are missing", list(hours.strftime("%Y-%m-%d %H:%M")), [50, 51, 52, 90], says=("4", "gaps="))
    weeks = list(pd.date_range("2022-01-03", periods=n, freq="7D").strftime("%Y-%m-%d"))
    yield hole("a week is missing", weeks, [30])
    yield hole("a year of many is missing", [str(1900 + i) for i in range(n)], [30])

    named = dict(given={"date": "day"}, verdict="refuses", says=("day", "date"), settles={"date": False})
    yield one("words for dates, named", [f"hello {i}" for i in range(n)], title="day", **named)
    found = named | {"given": {}, "says": ("date",)}
    yield one("words for dates, title says date", [f"d{i}" for i in range(n)], **found)
    wrong = [f"{day:%Y-%m-%d}" if i != 60 else "2024-13-45" for i, day in enumerate(days)]
    yield one("one date is none", wrong, **found | {"says": ("2024-13-45",)})
    empty = [f"{day:%Y-%m-%d}" if i != 60 else "" for i, day in enumerate(days)]
    yield one("one date is empty", empty, **found | {"says": ("date",)})
    parts = [f"{i // 24 + 1}" for i in range(n)], [f"{i % 24}" for i in range(n)]
    text = table("dteday,hr,load", [f"2024-01-{int(d):02d}" for d in parts[0]], parts[1], load).encode()
    yield File("a day and an hour", text, values, verdict="either", says=("dteday|date|hr",), settles={"date": False})


def structure() -> Iterator[File]:
    """Titles, lines and fields."""
    n, load = 120, numbers(120, 1)
    days, values = times("2023-01-01", n, "D"), floats(load)
    span = dict(first=days[0], last=days[-1])
    bare = dict(given={}, verdict="either", says=("title|header",), settles={"header": 0})
    yield File("no titles, one column", ("\n".join(load) + "\n").encode(), values, **bare)
    text = table("", days, load).lstrip("\n").encode()
    yield File("no titles, dates", text, values, **bare, **span)
    yield File("no titles, told so", text, values, given={"header": 0}, **span)
    years, missing = [str(1700 + i) for i in range(n)], dict(notes=("left out: 1 ",))
    text = table("year,level", years, ["n/a", *load[1:]]).encode()
    yield File("years, the first without a value", text, values[1:], given={}, **missing)
    text = table("No,pm", [str(i + 1) for i in range(n)], ["NA"] * 3 + load[3:]).encode()
    yield File("row numbers, the first without a value", text, values[3:], given={}, notes=("left out: 3 ",))
    units = [f'"1,{int(10 * float(x)):03d}"' for x in load]
    text = table(",Date,Sales", [str(i) for i in range(n)], days, units).encode()
    right = np.array([[1_000.0 + int(10 * float(x))] for x in load])
    known = dict(given={}, verdict="either", says=("thousands=",), settles={"thousands": ","})
    yield File("a row number, and four digits", text, right, **known, **span)
    title = "TEMPERATURA DO AR, HORARIA (C)"
    text = table(f"Data;{title}", times("2024-01-01", n, "h", "%Y-%m-%d %Hh"), comma(load), sep=";").encode()
    yield File("a comma in a title", text, values, given={"target": title}, verdict="either", says=("date",))
    ragged = table("date,load", days, [x if i != 50 else x + ",7" for i, x in enumerate(load)]).encode()
    yield File("a line with a field too many", ragged, None, verdict="refuses", says=("52",))
    text = table("date,load,load", days, load, load[::-1]).encode()
    yield File("a title twice", text, None, verdict="refuses", says=("load", "2|twice|two|more than once"))
    text = table("date,load,other,other", days, load, load, load).encode()
    yield File("another title twice", text, values, **span)
    text = table("date,load", days, load).encode()
    yield File("a title misspelt", text, None, given={"target": "Lead"}, verdict="refuses", says=("Lead", "load"))
    yield File("the dates as the target", text, None, given={"target": "date"}, verdict="refuses", says=("date",))
    flat = table("date,load", days, ["5"] * n).encode()
    yield File("constant", flat, None, verdict="refuses", says=("constant|same|every row",))
    short = table("date,load", days[:20], load[:20]).encode()
    yield File("20 rows", short, None, verdict="refuses", says=("20", "32"))
    text = table("date,load", days, ["NA"] * n).encode()
    yield File("nothing but missing values", text, None, verdict="refuses", says=("load",))
    head = "Report of the year\nMade by the office\n\n"
    text = (head + table("date,load", days, load)).encode()
    yield File(
        "three lines before the titles", text, values, verdict="either", says=("header=",), settles={"header": 4}
    )
    told = {"target": "load", "header": 4}
    yield File("three lines before the titles, told so", text, values, given=told, **span)
    text = table("date,load", days, load)
    again = text + text.splitlines()[-1] + "\n"
    yield File("the last row twice", again.encode(), values, verdict="either", says=("again|repeat|twice|same",))
    joined = text + text
    yield File("the file twice, titles within", joined.encode(), values, verdict="either", says=(".",))


def no_tables() -> Iterator[File]:
    """Other things, named like a table."""
    no = dict(values=None, verdict="refuses")
    sheet = zipped({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"})
    yield File("xlsx", sheet, file="x.xlsx", says=("Excel|xlsx",), **no)
    yield File("xlsx named csv", sheet, says=("Excel|xlsx|zip",), **no)
    yield File("xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), file="x.xls", says=("Excel|xls",), **no)
    page = b"<!DOCTYPE html>\n<html><head><title>Sign in, please</title></head><body><p>1,2</p></body></html>\n" * 20
    yield File("HTML", page, says=("HTML|web page",), **no)
    yield File(
        "JSON", b'[\n{"date": "2024-01-01", "load": 1.5},\n{"date": "2024-01-02", "load": 2}]', says=("JSON",), **no
    )
    picture = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + np.random.default_rng(0).bytes(2_000)
    yield File("a picture", picture, says=("text|table",), **no)
    yield File("Parquet", b"PAR1" + np.random.default_rng(1).bytes(2_000) + b"PAR1", says=("text|table|Parquet",), **no)
    yield File("nothing", b"", says=("empty|nothing|0",), **no)
    yield File("blank lines", b"\n\n\n", says=(".",), **no)
    yield File("titles alone", b"date,load\n", says=("row|line|0",), **no)
    prose = b"Once there was a file.\nIt held words, and only words.\nNobody could forecast it.\n" * 20
    yield File("prose", prose, says=(".",), **no)
    yield File(
        "half a gzip", gzip.compress(b"date,load\n2024-01-01,1\n" * 900)[:-30], file="x.csv.gz", says=(".",), **no
    )


def healthy() -> Iterator[File]:
    """Usual files, which read with nothing but the target named."""
    n = 200
    rng = np.random.default_rng(5)
    load, other = numbers(n, 2), numbers(n, 1, 5, 3, seed=9)
    values = floats(load)

    def one(name, column, texts=load, *, title="date", sep=",", **more):
        text = table(f"{title}{sep}load", column, texts[: len(column)], sep=sep)
        given = {"target": "load"}
        return File(name, text.encode(), more.pop("values", floats(texts[: len(column)])), given=given, **more)

    days = times("2023-01-01", n, "D")
    daily = dict(first=days[0], last=days[-1])
    yield one("daily", days, **daily)
    hours = times("2024-01-01", n, "h", "%Y-%m-%d %H:%M:%S")
    yield one("hourly", hours, title="datetime", first=hours[0], last=hours[-1])
    quarter = times("2024-01-01", n, "15min", "%Y-%m-%dT%H:%M")
    yield one("quarters of hours", quarter, title="time", first=quarter[0], last=quarter[-1])
    months = times("2005-01-01", n, "MS", "%Y-%m")
    yield one("monthly", months, title="month", first="2005-01-01", last="2021-08-01")
    ends = times("2005-01-31", n, "ME")
    yield one("month ends", ends, first=ends[0], last=ends[-1])
    years = [str(1800 + i) for i in range(n)]
    yield one("yearly", years, title="year", first="1800-01-01", last="1999-01-01")
    quarters = times("1970-01-01", n, "QS")
    yield one("quarterly", quarters, first=quarters[0], last=quarters[-1])
    weeks = times("2020-01-06", n, "7D")
    yield one("weekly", weeks, title="week", first=weeks[0], last=weeks[-1])
    yield one("trading days", DAYS, title="Date", first=DAYS[0], last=DAYS[-1])
    weekdays = times("2023-01-02", n, "B")
    yield one("weekdays", weekdays, first=weekdays[0], last=weekdays[-1])
    local = pd.date_range("2024-03-25", periods=n, freq="h", tz="Europe/Paris").strftime("%Y-%m-%d %H:%M")
    yield one("local hours in spring", list(local), title="time", first=local[0], last=local[-1])
    german = times("2024-01-05", n, "D", "%d.%m.%Y")
    yield one("05.01.2024", german, sep=";", first="2024-01-05", last="2024-07-22")
    english = times("2023-01-01", n, "D", "%b %d, %Y")
    text = table("Date,load", quoted(english), load).encode()
    yield File("Jan 01, 2023", text, values, **daily)
    yield one("1 January 2023", times("2023-01-01", n, "D", "%-d %B %Y"), **daily)
    yield one("Jan-2023", times("2005-01-01", n, "MS", "%b-%Y"), first="2005-01-01", last="2021-08-01")

    frame = pd.DataFrame({"date": days, "load": values[:, 0]})
    yield File("pandas' index", frame.to_csv().encode(), values, **daily)
    last = [f"{day:%Y-%m-%d}" for day in pd.date_range("2010-01-01", periods=n, freq="BME")]
    yield one("last trading days of months", last, first=last[0], last=last[-1])
    closes = times("1960-03-31", n, "QE")
    yield one("ends of quarters", closes, first=closes[0], last=closes[-1])
    closes = times("1810-12-31", n, "YE")
    yield one("ends of years", closes, first=closes[0], last=closes[-1])
    office = [f"{day} {hour:02d}:00" for day in DAYS[:25] for hour in range(9, 17)]
    yield one("office hours", office, title="time", first=office[0], last=office[-1])
    week = pd.date_range("2024-01-07 22:00", periods=400, freq="h")
    open_ = [f"{x:%Y-%m-%d %H:%M}" for x in week if (x + pd.Timedelta("2h")).weekday() < 5][:n]
    yield one("currencies, hours of five days", open_, title="time", first=open_[0], last=open_[-1])
    seconds = times("2024-01-01 12:00", n, "10s", "%Y-%m-%d %H:%M:%S")
    yield one("ten seconds", seconds, title="time", first=seconds[0], last=seconds[-1])
    other_days = times("2024-01-01", n, "2D")
    yield one("every other day", other_days, first=other_days[0], last=other_days[-1])
    indexed = frame.set_index("date").rename_axis(None)
    yield File("pandas' dates in the index", indexed.to_csv().encode(), values, **daily)
    text = table("date,load,temperature", days, load, other).encode()
    both = {"target": "load", "inputs": ["temperature"]}
    yield File("an input", text, floats(load, other), given=both, **daily)
    yield File("a column not named", text, floats(other), given={"target": "temperature"}, **daily)
    names = list(pd.date_range("2023-01-01", periods=n).day_name())
    yield File("names of weekdays", table("date,weekday,load", days, names, load).encode(), values, **daily)
    yield one("tabs", days, sep="\t", file="x.tsv", **daily)
    yield File("decimal commas", table("Datum;load", german, comma(load), sep=";").encode(), values, first="2024-01-05")
    text = "\n".join(load)
    yield File("one column, no dates", f"load\n{text}\n".encode(), values)
    yield File("no dates", table("load,other", load, other).encode(), values)
    yield File("everything quoted", table('"date","load"', quoted(days), quoted(load)).encode(), values, **daily)
    plain = table("date,load", days, load)
    yield File("CRLF", plain.replace("\n", "\r\n").encode(), values, **daily)
    yield File("BOM", plain.encode("utf-8-sig"), values, **daily)
    yield File("blank lines at the end", (plain + "\n\n\n").encode(), values, **daily)
    yield File("no end of the last line", plain.rstrip("\n").encode(), values, **daily)
    spaced = table(" date , load ", [f" {x} " for x in days], [f"  {x} " for x in load])
    yield File("spaces around fields", spaced.encode(), values, **daily)
    yield File("an empty last column", table("date,load,", days, load, [""] * n).encode(), values, **daily)

    rain = [f"{x:.1f}" if x > 4 else "0.0" for x in rng.exponential(3, n)]
    yield one("rain", days, rain, **daily)
    tick = [f"{x:.2f}" for x in np.round((50 + rng.normal(0, 0.1, n)) * 4) / 4]
    yield one("prices that repeat", days, tick, **daily)
    yield one("counts", days, [str(x) for x in rng.poisson(30, n)], **daily)
    yield one("counts to a limit", days, [str(min(100, x)) for x in rng.poisson(90, n)], **daily)
    yield one("small counts", days, [str(x) for x in rng.poisson(0.5, n)], **daily)
    yield one("three decimals", days, numbers(n, 3, 2, 1.5), **daily)
    yield one("negative", days, numbers(n, 2, -3, 6), **daily)
    yield one("scientific", days, [f"{float(x) * 1e-4:.3e}" for x in load], **daily)
    yield one("billions", days, numbers(n, 0, 7e11, 3e10), **daily)
    yield one("tiny", days, numbers(n, 9, 3e-5, 1e-5), **daily)
    yield one("all digits", days, [repr(float(x) / 7) for x in load], **daily)
    yield one("rising", days, [str(1000 + 3 * i + int(x)) for i, x in enumerate(rng.integers(0, 9, n))], **daily)
    yield one("shares to 1", days, [f"{min(1, max(0, x)):.2f}" for x in rng.normal(0.6, 0.4, n)], **daily)
    spike = [f"{x * (40 if i == 77 else 1):.1f}" for i, x in enumerate(values[:, 0])]
    yield one("one peak", days, spike, **daily)
    winter = [f"{x:.1f}" if x > 0 else "0" for x in 8 * np.sin(np.arange(n) / 12) + rng.normal(0, 1, n)]
    yield one("sun at night", hours, winter, title="time", first=hours[0], last=hours[-1])


TROUBLE = [*published(), *more_published(), *shops(), *signs(), *dates(), *structure(), *no_tables()]
HEALTHY = list(healthy())
