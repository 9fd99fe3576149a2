use super::told;

#[test]
fn dates_print_count_and_compare_as_in_python() {
    let given = concat!(
        "{% set d = '2023-08-18T16:34:27.678406Z' | iso8601_to_time %}",
        "{% set n = '2023-08-18T16:34:27' | iso8601_to_time %}",
        "{% set o = '2023-08-18T16:34:27+02:00' | iso8601_to_time %}",
        "{% set w = '1w' | timedeltaparse %}{% set h = '90m' | timedeltaparse %}",
    );
    let cases = [
        ("{{ d }}", "2023-08-18 16:34:27.678406+00:00"),
        ("{{ d | string | length }}", "32"),
        ("{{ [d] }}", "[datetime.datetime(2023, 8, 18, 16, 34, 27, 678406, tzinfo=datetime.timezone.utc)]"),
        ("{{ d.year }}/{{ d.month }}/{{ d.microsecond }}", "2023/8/678406"),
        ("{{ d.isoformat() }}", "2023-08-18T16:34:27.678406+00:00"),
        ("{{ d.isoformat(' ', 'minutes') }}", "2023-08-18 16:34+00:00"),
        (
            "{{ d.strftime('%a %A %b %B %d %e %H %I %j %m %M %p %S %f %y %Y %z %Z %%') }}",
            "Fri Friday Aug August 18 18 16 04 230 08 34 PM 27 678406 23 2023 +0000 UTC %",
        ),
        (
            "{{ d.strftime('%U %W %V %G %u %w %x %X %c %D %F %T %R') }}",
            "33 33 33 2023 5 5 08/18/23 16:34:27 Fri Aug 18 16:34:27 2023 08/18/23 2023-08-18 16:34:27 16:34",
        ),
        (
            "{{ d.date() }} {{ d.time() }} {{ [d.date(), d.time()] }}",
            "2023-08-18 16:34:27.678406 [datetime.date(2023, 8, 18), datetime.time(16, 34, 27, 678406)]",
        ),
        (
            "{{ d.weekday() }}{{ d.isoweekday() }} {{ d.isocalendar() }}",
            "45 datetime.IsoCalendarDate(year=2023, week=33, weekday=5)",
        ),
        ("{{ d.timestamp() }}", "1692376467.678406"),
        ("{{ d.replace(year=2020, microsecond=0) }}", "2020-08-18 16:34:27+00:00"),
        ("{{ d + w }} {{ d - w }}", "2023-08-25 16:34:27.678406+00:00 2023-08-11 16:34:27.678406+00:00"),
        ("{{ d - d }} {{ [d - d.replace(year=2020)] }}", "0:00:00 [datetime.timedelta(days=1095)]"),
        (
            "{{ w }} {{ [w] }} {{ -w }} {{ w * 2 }} {{ w / 7 }} {{ w // 7 }} {{ w.total_seconds() }} {{ w.days }}",
            "7 days, 0:00:00 [datetime.timedelta(days=7)] -7 days, 0:00:00 14 days, 0:00:00 1 day, 0:00:00 1 day, 0:00:00 604800.0 7",
        ),
        ("{{ w > h }} {{ d > d - h }} {{ d == d }} {{ h % w }}", "True True True 1:30:00"),
        ("{{ d - n }}", "Template Warning: can't subtract offset-naive and offset-aware datetimes"),
        ("{{ d < n }}", "Template Warning: can't compare offset-naive and offset-aware datetimes"),
        ("{{ d + 1 }}", "Template Warning: unsupported operand type(s) for +: 'datetime.datetime' and 'int'"),
        (
            "{{ n.tzinfo }} {{ d.tzinfo }} {{ [d.tzinfo] }} {{ n.utcoffset() }} {{ d.utcoffset() }}",
            "None UTC [datetime.timezone.utc] None 0:00:00",
        ),
        (
            "{{ o }} {{ o.tzinfo }} {{ o.astimezone(d.tzinfo) }}",
            "2023-08-18 16:34:27+02:00 UTC+02:00 2023-08-18 14:34:27+00:00",
        ),
        ("{{ d | datetimeformat }}", "16:34 / 18-08-2023"),
        ("{{ d | datetimeformat_as_timezone('%d.%m.%Y %H:%M %Z', 'Europe/Berlin') }}", "18.08.2023 18:34 CEST"),
        ("{{ d | datetimeformat_as_timezone('%H:%M', 'america/new_york') }}", "12:34"),
        ("{{ d | datetimeformat_as_timezone('%H:%M', 'Nowhere/At_All') }}", "Template Warning: 'Nowhere/At_All'"),
        ("{{ '18:34 / 01-02-2023' | datetimeparse }}", "2023-02-01 18:34:00"),
        ("{{ '2023-13-01' | datetimeparse('%Y-%m-%d') }}", "None"),
        ("{{ '2024-02-30' | iso8601_to_time }}", "None"),
        (
            "{{ '20230818T163427Z' | iso8601_to_time }} {{ '2023-W33-5' | iso8601_to_time }} {{ '2023-08-18 16:34:27.5+0530' | iso8601_to_time }}",
            "2023-08-18 16:34:27+00:00 2023-08-18 00:00:00 2023-08-18 16:34:27.500000+05:30",
        ),
        ("{{ d + ('999999999d' | timedeltaparse) }}", "Template Error: date value out of range"),
        ("{{ '9999999999w' | timedeltaparse }}", "Template Error: Python int too large to convert to C int"),
        ("{{ d.nope }}|{{ d | tojson }}", "Template Warning: Object of type datetime is not JSON serializable"),
        (
            "{{ '%s' % h }} {{ '{:%Y}'.format(d) }} {{ d | abs }}",
            "Template Warning: bad operand type for abs(): 'datetime.datetime'",
        ),
        ("{{ h | abs }} {{ (-h) | abs }} {{ h | string }}", "1:30:00 1:30:00 1:30:00"),
    ];
    for (source, expected) in cases {
        assert_eq!(told(&format!("{given}{source}")), expected, "{source}");
    }
}
