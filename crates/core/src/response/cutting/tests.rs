//! Texts and values of any form, cut.

use serde_json::{Value, json};

use super::*;

const LIMIT: usize = 2000;

fn text_size(text: &str) -> usize {
    text.chars().map(stored).sum()
}

/// The value that is left of a JSON value; and what holds for each, whatever it is.
fn left_of(value: &Value) -> Value {
    let text = json::dumps(&Json::from(value.clone()));
    let once = cut(text.clone(), LIMIT);
    assert!(text_size(&once) <= LIMIT, "{} bytes: {once}", text_size(&once));
    assert_eq!(cut(once.clone(), LIMIT), once, "cut again");
    assert_eq!(once == text, text_size(&text) <= LIMIT, "cut where that is needed, and nowhere else");
    serde_json::from_str(&once).unwrap()
}

#[test]
fn the_longest_texts_of_json_are_cut_and_all_else_is_as_it_was() {
    let long = "x".repeat(5000);
    let value = json!({
        "event": {"type": "resolve"}, "n": [1, 2.5, null, true], "log": long, "other": {"deep": [{"log": long}]},
        "text": "short",
    });
    let left = left_of(&value);
    let kept = left["log"].as_str().unwrap().strip_suffix("… (cut: 5000 bytes in all)").unwrap();
    assert!(kept.len() > 800 && long.starts_with(kept), "{}", kept.len());
    let mut expected = value.clone();
    expected["log"] = left["log"].clone();
    expected["other"]["deep"][0]["log"] = left["log"].clone();
    expected["…"] = format!("(cut: {} bytes in all)", json::dumps(&Json::from(value)).len()).into();
    assert_eq!(left.to_string(), expected.to_string());
}

#[test]
fn characters_are_counted_as_they_are_stored_and_stay_whole() {
    for char in ["<", "\"", "\\", "é", "😀", "\u{2028}", "\n", "\u{1}", "\u{7f}"] {
        let left = left_of(&json!({"id": 7, "log": char.repeat(1000)}));
        let log = left["log"].as_str().unwrap();
        let kept = log.strip_suffix(&format!("… (cut: {} bytes in all)", 1000 * char.len())).unwrap();
        assert!(kept.len() > 50 && kept.replace(char, "").is_empty(), "{char}: {log}");
        assert_eq!(left["id"], 7);
    }
}

#[test]
fn items_are_left_out_where_shorter_texts_are_not_enough() {
    let numbers: Vec<u32> = (0..5000).collect();
    let labels: serde_json::Map<_, _> = (0..500).map(|n| (format!("label-{n}"), json!("x".repeat(200)))).collect();
    let value = json!({"event": {"type": "resolve"}, "numbers": numbers, "labels": labels, "webhook": {"id": "WH1"}});
    let left = left_of(&value);
    let (items, keys) = (left["numbers"].as_array().unwrap(), left["labels"].as_object().unwrap());
    assert!(items.len() > 5 && items.len() == keys.len(), "{} items, {} keys", items.len(), keys.len());
    assert_eq!(items[..items.len() - 1], value["numbers"].as_array().unwrap()[..items.len() - 1]);
    assert_eq!(items.last(), Some(&json!("… (cut: 5000 items in all)")));
    assert_eq!(keys.iter().next_back(), Some((&"…".to_owned(), &json!("(cut: 500 keys in all)"))));
    assert!(keys["label-0"].as_str().unwrap().ends_with("xxx… (cut: 200 bytes in all)"), "{}", keys["label-0"]);
    // What is outermost stays.
    assert_eq!((&left["event"], &left["webhook"]), (&value["event"], &value["webhook"]));
    assert_eq!(left.as_object().unwrap().keys().next_back().unwrap(), "…");
}

#[test]
fn json_of_any_form_is_json_afterwards() {
    let nested = |depth: usize, value: Value| (0..depth).fold(value, |value, _| json!([value]));
    let bushy = (0..90).fold(json!(1), |value, _| json!({"a": value, "b": "x".repeat(40)}));
    let wide = |depth: usize| (0..depth).fold(json!("y"), |value, _| json!([value, value, value]));
    let values = [
        json!("x".repeat(5000)),
        json!(vec!["x".repeat(50); 400]),
        json!(vec![vec![1; 300]; 300]),
        json!({"x".repeat(5000): {"y".repeat(5000): 1}}),
        json!((0..3000).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>()),
        nested(100, json!("x".repeat(5000))),
        nested(100, json!(vec![1; 5000])),
        bushy,
        wide(9),
        json!({"a": wide(8), "b": vec![0.5; 1000], "c": "é".repeat(3000)}),
    ];
    for value in values {
        let _ = left_of(&value);
    }
}

#[test]
fn at_the_limit_of_a_status_nothing_is_too_deep_or_too_wide() {
    let key = |n: usize| format!("{n}{}", "<".repeat(300));
    let branch =
        (0..60).fold(json!("x".repeat(500)), |value, _| json!({key(1): value, key(2): [1], key(3): "y".repeat(500)}));
    let value = json!((0..20).map(|n| (key(n), branch.clone())).collect::<serde_json::Map<_, _>>());
    let left = cut(value.to_string(), 200_000);
    assert!(text_size(&left) <= 200_000, "{} bytes", text_size(&left));
    assert!(serde_json::from_str::<Value>(&left).is_ok_and(|left| left.as_object().unwrap().len() > OUTERMOST));
}

#[test]
fn a_value_is_cut_only_where_it_takes_more_room_than_there_is_as_the_api_server_stores_it() {
    let long = "x".repeat(5000);
    let left = cut_value(json!({"id": 7, "log": long, "n": [1, 2.5, null, true], "é": "\u{2028}<"}), LIMIT);
    let kept = left["log"].as_str().unwrap().strip_suffix("… (cut: 5000 bytes in all)").unwrap();
    assert!(kept.len() > 1800 && long.starts_with(kept), "{}", kept.len());
    assert_eq!(
        left,
        json!({
            "id": 7, "log": left["log"], "n": [1, 2.5, null, true], "é": "\u{2028}<", "…": "(cut: 5059 bytes in all)",
        })
    );
    // `{"a":"…"}` has eight bytes beside its text.
    let fits = json!({"a": "x".repeat(LIMIT - 8)});
    assert_eq!(cut_value(fits.clone(), LIMIT), fits);
    assert_ne!(cut_value(fits.clone(), LIMIT - 1), fits);
    assert_eq!(cut_value(json!([1, 2, 3]), 5), json!({"…": "(cut: 7 bytes in all)"}));
}

#[test]
fn numbers_count_as_go_writes_them() {
    let cases = [("1", 1), ("-7", 2), ("1e20", 21), ("1e21", 5), ("1.5e-6", 9), ("1e-7", 4), ("0.25", 4), ("2.0", 3)];
    for (number, expected) in cases {
        assert_eq!(stored_size(&serde_json::from_str(number).unwrap()), expected, "{number}");
    }
    let left = cut_value(json!(vec![1e20; 200]), LIMIT);
    assert!(stored_size(&left) <= LIMIT && left.as_array().unwrap().len() > 80, "{left}");
}

#[test]
fn a_text_that_is_no_json_is_cut_at_its_end() {
    assert_eq!(cut("short".to_owned(), LIMIT), "short");
    let long = "é".repeat(LIMIT);
    assert_eq!(cut(long.clone(), LIMIT), format!("{}… (cut: 4000 bytes in all)", &long[..LIMIT]));
    // As the API server stores them, they take six bytes each.
    let escaped = "<".repeat(LIMIT);
    assert_eq!(cut(escaped.clone(), LIMIT), format!("{}… (cut: 2000 bytes in all)", &escaped[..LIMIT / 6]));
    assert_eq!(cut(escaped[..LIMIT / 6].to_owned(), LIMIT), escaped[..LIMIT / 6]);
    for long in [long, escaped, format!("{{\"half\": \"{}", "x".repeat(LIMIT))] {
        let once = cut(long, LIMIT);
        assert_eq!(cut(once.clone(), LIMIT), once);
    }
}
