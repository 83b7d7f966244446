//! `neena sync` of integrations that are declared in JSON.

use crate::harness::Place;

const DECLARED: &str = r#"{
    "class_name": "Resize", "name": "Resize pictures", "short_name": "resize", "auth_type": "none", "kind": "external",
    "tasks": [{
        "task_name": "Shrink a picture", "python_method_name": "shrink",
        "parameters": [{"name": "url", "data_type": "str", "position": 1, "doc_string": null, "optional": false}],
        "input_type": "JSON", "input_yml": "type: object", "output_type": "JSON", "output_yml": "type: object",
        "output_parameters": [], "output_is_list": false
    }]
}"#;

#[test]
fn declared_tasks_are_registered_and_the_queue_that_takes_them_is_told() {
    let place = Place::new();
    let server = place.serve();
    place.file("resize.json", DECLARED);
    let said = server.neena(&["sync", "resize.json"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.starts_with("resize  1 tasks  code "), "{said:?}");
    assert!(said.out.contains("neena.tasks.resize"), "{said:?}");
    place.file("all.json", &format!(r#"{{"integrations": [{DECLARED}]}}"#));
    assert_eq!(server.neena(&["sync", "all.json"]).out, said.out);
}

#[test]
fn a_declaration_that_is_none_stops_with_one_line_that_names_the_file() {
    let place = Place::new();
    place.file("torn.json", "{");
    let said = place.neena(&["sync", "torn.json"], &[]);
    assert_eq!((said.code, said.err.lines().count()), (2, 1), "{said:?}");
    assert!(said.err.contains("torn.json is no JSON"), "{said:?}");
}
