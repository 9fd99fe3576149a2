//! Jinja2's builtin filters by name, and those that make one value of one.

use std::rc::Rc;

use num_bigint::BigInt;
use num_traits::Signed;

use crate::{
    eval::{access, function::Filter, registry::Registry, rendering::Rendering},
    python::{
        arguments::{Args, Signature},
        comparison,
        exception::{Exception, ExceptionClass, PyResult, type_error},
        json, markup,
        numbers::{float, int},
        object::Operator,
        operators, repr,
        value::{Text, Undefined, Value},
    },
};

mod pretty;
mod sequence;
mod textual;
mod urlize;
mod wrap;

type FilterFunction = fn(&Rendering, Args) -> PyResult;

/// Jinja2's filters by name.
const FILTERS: &[(&str, FilterFunction)] = &[
    ("abs", abs),
    ("batch", sequence::batch),
    ("capitalize", textual::capitalize),
    ("center", textual::center),
    ("count", length),
    ("length", length),
    ("dictsort", sequence::dictsort),
    ("e", escape_filter),
    ("escape", escape_filter),
    ("filesizeformat", filesizeformat),
    ("first", sequence::first),
    ("float", float),
    ("forceescape", forceescape),
    ("format", textual::format),
    ("groupby", sequence::groupby),
    ("indent", textual::indent),
    ("int", int),
    ("items", sequence::items),
    ("join", sequence::join),
    ("last", sequence::last),
    ("list", sequence::list),
    ("lower", textual::lower),
    ("map", sequence::map),
    ("max", sequence::max),
    ("min", sequence::min),
    ("random", sequence::random),
    ("reject", sequence::reject),
    ("rejectattr", sequence::rejectattr),
    ("replace", textual::replace),
    ("reverse", sequence::reverse),
    ("round", round),
    ("safe", safe),
    ("select", sequence::select),
    ("selectattr", sequence::selectattr),
    ("slice", sequence::slice),
    ("sort", sequence::sort),
    ("string", string),
    ("striptags", textual::striptags),
    ("sum", sequence::sum),
    ("title", textual::title),
    ("trim", textual::trim),
    ("truncate", textual::truncate),
    ("unique", sequence::unique),
    ("upper", textual::upper),
    ("urlencode", textual::urlencode),
    ("urlize", urlize::urlize),
    ("wordcount", textual::wordcount),
    ("wordwrap", wrap::wordwrap),
    ("xmlattr", textual::xmlattr),
];

/// The filters that can answer for an undefined value, or that fail with words of their own.
const FILTERS_OF_UNDEFINED: &[(&str, FilterFunction)] =
    &[("attr", attr), ("d", default), ("default", default), ("pprint", pretty::pprint), ("tojson", json::tojson)];

/// Adds all of Jinja2's filters.
pub(crate) fn register(registry: &mut Registry) {
    for (name, filter) in FILTERS {
        registry.add_filter(*name, Filter::new(filter));
    }
    for (name, filter) in FILTERS_OF_UNDEFINED {
        registry.add_filter(*name, Filter::taking_undefined(filter));
    }
}

/// A required parameter's value.
fn given(value: Option<Value>) -> Value {
    value.unwrap_or(Value::None)
}

/// Whether an optional flag is given and true.
fn flag(value: Option<Value>) -> bool {
    value.is_some_and(|value| value.truth())
}

/// `markupsafe.soft_str`: text of whatever it is, which stays safe if it was.
fn soft(rendering: &Rendering, value: &Value) -> PyResult<Text> {
    Ok(match value {
        Value::Str(text) => text.clone(),
        other => Text { text: repr::string(rendering, other)?, safe: false },
    })
}

fn argument_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::FilterArgumentError, message))
}

fn missing_attribute<T>(value: &Value, name: &str) -> PyResult<T> {
    match value {
        Value::Undefined(undefined) => Err(undefined.raise()),
        other => Err(Exception::new(
            ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{name}'", other.operand_name()),
        )),
    }
}

fn abs(_rendering: &Rendering, args: Args) -> PyResult {
    match args.only("abs")? {
        Value::Bool(value) => Ok(Value::Int(i64::from(value))),
        Value::Int(value) => Ok(value.checked_abs().map_or_else(|| Value::int(BigInt::from(value).abs()), Value::Int)),
        Value::Big(value) => Ok(Value::int(value.abs())),
        Value::Float(value) => Ok(Value::Float(value.abs())),
        Value::Object(object) if object.operate(Operator::Neg, &Value::None, false).is_some() => {
            let value = Value::Object(object);
            let negative = operators::unary(Operator::Neg, &value)?;
            Ok(if comparison::less(&value, &negative)? { negative } else { value })
        }
        other => type_error(format!("bad operand type for abs(): '{}'", other.operand_name())),
    }
}

fn attr(rendering: &Rendering, args: Args) -> PyResult {
    let [value, name] = args.take_all(&Signature::new("do_attr", 1, &["obj", "name"], &[]))?;
    let (value, name) = (given(value), given(name));
    let Value::Str(name) = &name else {
        return type_error(format!("attribute name must be string, not '{}'", name.operand_name()));
    };
    Ok(access::attribute_only(rendering, &value, name)?
        .unwrap_or_else(|| Value::Undefined(Rc::new(Undefined::Attribute(value.described(), name.to_string())))))
}

fn length(_rendering: &Rendering, args: Args) -> PyResult {
    args.only("len")?.length().map(Value::size)
}

fn default(_rendering: &Rendering, args: Args) -> PyResult {
    let [value, default, boolean] =
        args.take_all(&Signature::new("do_default", 0, &["value"], &["default_value", "boolean"]))?;
    let value = given(value);
    if matches!(value, Value::Undefined(_)) || (flag(boolean) && !value.truth()) {
        return Ok(default.unwrap_or_else(|| Value::text("")));
    }
    Ok(value)
}

fn escape_filter(rendering: &Rendering, args: Args) -> PyResult {
    let value = text_argument(args, "escape")?;
    markup::escape_value(rendering, &value).map(|text| Value::Str(Text::safe(text)))
}

/// The argument `s` of a function of markupsafe, which takes it by position only.
fn text_argument(args: Args, name: &'static str) -> PyResult {
    if args.named.iter().any(|(name, _)| name == "s") {
        return type_error(format!("{name}() got some positional-only arguments passed as keyword arguments: 's'"));
    }
    let [value] = args.take_all(&Signature::new(name, 0, &["s"], &[]))?;
    Ok(given(value))
}

fn forceescape(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_forceescape", 0, &["value"], &[]))?;
    let text = Value::text(repr::string(rendering, &given(value))?);
    markup::escape_value(rendering, &text).map(|text| Value::Str(Text::safe(text)))
}

fn safe(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_mark_safe", 0, &["value"], &[]))?;
    Ok(Value::Str(Text::safe(repr::string(rendering, &given(value))?)))
}

fn string(rendering: &Rendering, args: Args) -> PyResult {
    soft(rendering, &text_argument(args, "soft_str")?).map(Value::Str)
}

/// `float(x)`
fn to_float(value: &Value) -> PyResult<f64> {
    match value {
        Value::Bool(value) => Ok(f64::from(u8::from(*value))),
        #[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
        Value::Int(value) => Ok(*value as f64),
        Value::Big(value) => float::from_int(value),
        Value::Float(value) => Ok(*value),
        Value::Str(text) => float::from_text(text),
        Value::Undefined(undefined) => Err(undefined.raise()),
        other => {
            type_error(format!("float() argument must be a string or a real number, not '{}'", other.operand_name()))
        }
    }
}

/// `int(x)` or `int(x, base)` for text.
fn to_int(value: &Value, base: i64) -> PyResult<BigInt> {
    match value {
        Value::Str(text) => int::from_text(text, base),
        Value::Float(value) => int::from_float(*value),
        Value::Undefined(undefined) => Err(undefined.raise()),
        other => match other.as_int() {
            Some(value) => Ok(value.into_owned()),
            None => type_error(format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                other.operand_name()
            )),
        },
    }
}

fn does_not_fit(exception: &Exception) -> bool {
    matches!(exception.class, ExceptionClass::TypeError | ExceptionClass::ValueError)
}

fn int(_rendering: &Rendering, args: Args) -> PyResult {
    let [value, default, base] = args.take_all(&Signature::new("do_int", 0, &["value"], &["default", "base"]))?;
    let value = given(value);
    match base.map_or(Ok(10), |base| base.index()).and_then(|base| to_int(&value, base)) {
        Err(exception) if does_not_fit(&exception) => {}
        result => return result.map(Value::int),
    }
    match to_float(&value).and_then(int::from_float) {
        // Infinity too.
        Err(exception) if does_not_fit(&exception) || exception.class == ExceptionClass::Other => {
            Ok(default.unwrap_or(Value::Int(0)))
        }
        result => result.map(Value::int),
    }
}

fn float(_rendering: &Rendering, args: Args) -> PyResult {
    let [value, default] = args.take_all(&Signature::new("do_float", 0, &["value"], &["default"]))?;
    match to_float(&given(value)) {
        Err(exception) if does_not_fit(&exception) => Ok(default.unwrap_or(Value::Float(0.0))),
        result => result.map(Value::Float),
    }
}

fn round(rendering: &Rendering, args: Args) -> PyResult {
    let [value, precision, method] =
        args.take_all(&Signature::new("do_round", 0, &["value"], &["precision", "method"]))?;
    let (value, precision) = (given(value), precision.unwrap_or(Value::Int(0)));
    let method = method.unwrap_or_else(|| Value::text("common"));
    let up = match method.as_str().map_or("", |method| &**method) {
        "common" => return common_round(rendering, &value, &precision),
        "ceil" => true,
        "floor" => false,
        _ => return argument_error("method must be common, ceil or floor"),
    };
    let scale = operators::binary(rendering, Operator::Pow, &Value::Int(10), &precision)?;
    let scaled = operators::binary(rendering, Operator::Mul, &value, &scale)?;
    let whole = match scaled {
        Value::Float(scaled) => Value::int(int::from_float(if up { scaled.ceil() } else { scaled.floor() })?),
        other if other.as_int().is_some() => other,
        other => return type_error(format!("must be real number, not {}", other.operand_name())),
    };
    operators::binary(rendering, Operator::Div, &whole, &scale)
}

fn common_round(rendering: &Rendering, value: &Value, precision: &Value) -> PyResult {
    if !matches!(value, Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_)) {
        return type_error(format!("type {} doesn't define __round__ method", value.operand_name()));
    }
    let digits = precision.index()?;
    match value {
        Value::Float(value) => Ok(Value::Float(float::round(*value, digits))),
        other => match other.as_int() {
            Some(int) if digits >= 0 => Ok(Value::int(int.into_owned())),
            Some(int) => {
                let Ok(zeros) = u32::try_from(digits.unsigned_abs()) else { return Ok(Value::Int(0)) };
                if u64::from(zeros) > int.bits() {
                    return Ok(Value::Int(0));
                }
                rendering.allocate(zeros as usize)?;
                let scale = BigInt::from(10).pow(zeros);
                let (quotient, rest) = num_integer::Integer::div_mod_floor(&*int, &scale);
                let twice: BigInt = rest * 2;
                let up = twice > scale || (twice == scale && num_integer::Integer::is_odd(&quotient));
                Ok(Value::int((quotient + BigInt::from(up)) * scale))
            }
            None => type_error(format!("type {} doesn't define __round__ method", other.operand_name())),
        },
    }
}

fn filesizeformat(_rendering: &Rendering, args: Args) -> PyResult {
    let [value, binary] = args.take_all(&Signature::new("do_filesizeformat", 0, &["value"], &["binary"]))?;
    let bytes = to_float(&given(value))?;
    let (base, suffix) = if flag(binary) { (1024, "iB") } else { (1000, "B") };
    #[expect(clippy::float_cmp, reason = "as Jinja2 compares it")]
    if bytes == 1.0 {
        return Ok(Value::text("1 Byte"));
    }
    if bytes < f64::from(base) {
        return Ok(Value::text(format!("{} Bytes", int::from_float(bytes)?)));
    }
    let mut unit = BigInt::from(base);
    let mut prefix = '?';
    for next in ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'] {
        prefix = if next == 'k' && suffix == "iB" { 'K' } else { next };
        unit *= base;
        // Exactly, as Python compares them: the float 1e24 is less than the int.
        if comparison::less(&Value::Float(bytes), &Value::int(unit.clone()))? {
            break;
        }
    }
    Ok(Value::text(format!("{:.1} {prefix}{suffix}", f64::from(base) * bytes / float::from_int(&unit)?)))
}
