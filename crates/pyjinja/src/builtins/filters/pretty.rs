//! `pprint`: Python's `pprint.pformat`, keys sorted, one line of up to 80 characters or one item a line.

use super::given;
use crate::{
    eval::run::Run,
    python::arguments::{Args, Signature},
    python::print,
    python::raise::Res,
    python::sorting,
    python::value::Value,
};

const WIDTH: usize = 80;

pub(super) fn pprint(run: &Run, args: Args) -> Res {
    let [value] = args.take_all(&Signature::new("do_pprint", 0, &["value"], &[]))?;
    let mut out = String::new();
    write(run, &sorted(run, &given(value))?, 0, 0, &mut out)?;
    Ok(Value::text(out))
}

/// The value with the keys of its dicts in order.
fn sorted(run: &Run, value: &Value) -> Res {
    let _deeper = run.deeper()?;
    match value {
        Value::Dict(dict) => {
            run.allocate(dict.len() * 4 * size_of::<Value>())?;
            let entries = || dict.entries().iter().map(|(key, value)| (key.value().clone(), value.clone())).collect();
            // What can't be compared stays as it is.
            let entries: Vec<_> = sorting::sorted(run, entries(), false).unwrap_or_else(|_| entries());
            let entries = entries.into_iter().map(|(key, value)| Ok((key.key()?, sorted(run, &value)?)));
            Ok(Value::dict(entries.collect::<Res<_>>()?))
        }
        Value::List(list) => {
            run.work(list.items().len())?;
            run.allocate((1 + list.items().len()) * size_of::<Value>())?;
            Ok(Value::list(list.items().iter().map(|item| sorted(run, item)).collect::<Res<_>>()?))
        }
        other => Ok(other.clone()),
    }
}

fn write(run: &Run, value: &Value, indent: usize, after: usize, out: &mut String) -> Res<()> {
    let _deeper = run.deeper()?;
    let line = print::repr(run, value)?;
    let fits = line.chars().count() + indent + after <= WIDTH;
    match value {
        Value::Dict(dict) if !fits && dict.len() > 0 => {
            out.push('{');
            let entries = dict.entries();
            let last = entries.len() - 1;
            for (index, (key, value)) in entries.iter().enumerate() {
                let key = print::repr(run, key.value())?;
                let inside = indent + key.chars().count() + 3;
                out.push_str(&key);
                out.push_str(": ");
                write(run, value, inside, if index == last { after + 1 } else { 1 }, out)?;
                separate(run, index == last, indent + 1, out)?;
            }
            out.push('}');
        }
        Value::List(_) | Value::Tuple(_) if !fits => {
            let (open, close) = if matches!(value, Value::List(_)) { ("[", "]") } else { ("(", ")") };
            out.push_str(open);
            let items = value.iterate(run)?;
            for (index, item) in items.iter().enumerate() {
                let last = index + 1 == items.len();
                write(run, item, indent + 1, if last { after + 1 } else { 1 }, out)?;
                separate(run, last, indent + 1, out)?;
            }
            out.push_str(close);
        }
        _ => out.push_str(&line),
    }
    Ok(())
}

fn separate(run: &Run, last: bool, indent: usize, out: &mut String) -> Res<()> {
    if !last {
        run.allocate(indent)?;
        out.push_str(",\n");
        out.extend(std::iter::repeat_n(' ', indent));
    }
    Ok(())
}
