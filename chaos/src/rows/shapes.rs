//! The flows that rows run.

use serde_json::json;

use crate::client::Shape;

/// One task that costs nothing.
pub fn echo() -> Shape {
    Shape::default().then("core.echo", json!({ "n": 1 }), &[])
}

/// One task with an effect outside.
pub fn effect(sink: &str, seconds: f64) -> Shape {
    Shape::default().then("put", json!({ "sink": sink, "seconds": seconds }), &[])
}

/// So many tasks, one after the other, that each take a time.
pub fn sleeps(seconds: &[f64]) -> Shape {
    (0i64..)
        .zip(seconds)
        .fold(Shape::default(), |shape, (index, seconds)| {
            let inputs: Vec<i64> = (index > 0).then(|| index - 1).into_iter().collect();
            shape.then("core.sleep", json!({ "seconds": seconds }), &inputs)
        })
}

/// Five tasks, three of them with an effect outside.
pub fn five(sink: &str) -> Shape {
    let put = |seconds: f64| json!({ "sink": sink, "seconds": seconds });
    Shape::default()
        .then("put", put(0.2), &[])
        .then("core.sleep", json!({ "seconds": 0.2 }), &[])
        .then("put", put(0.1), &[0])
        .then("put", put(0.2), &[1, 2])
        .then(
            "core.evaluate",
            json!({ "expression": "tasks.step_3.result ~ '!'" }),
            &[3],
        )
}
