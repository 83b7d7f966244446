//! The task definitions that are part of the engine's own binary: data only; a worker runs them.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Definition, EXPRESSION, Kind, Parameter};
use crate::ids::{IntegrationId, TaskDefinitionId};

/// Short name of the integration the built-in tasks belong to.
pub const BUILT_IN_INTEGRATION: &str = "core";

/// Class name of that integration, as the contract shows one.
pub const BUILT_IN_CLASS: &str = "Core";

/// Each built-in method and its version, by which plans name it. A version is raised by hand when the
/// meaning of the task changes, never by a build.
const VERSIONS: [(&str, &str); 4] = [
    ("core.echo", "core.echo@1"),
    ("core.evaluate", "core.evaluate@1"),
    ("core.sleep", "core.sleep@1"),
    ("core.fail", "core.fail@1"),
];

/// A built-in task: its definition and what else the registry shows of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    pub definition: Definition,
    pub description: &'static str,
    /// JSON Schema of the arguments, as YAML.
    pub input_yml: &'static str,
    /// JSON Schema of the result, as YAML.
    pub output_yml: &'static str,
    pub output_is_list: bool,
}

/// The version of a built-in method: its `code_digest`. None: there is no such method.
pub fn built_in_version(method: &str) -> Option<&'static str> {
    VERSIONS
        .iter()
        .find(|(known, _)| *known == method)
        .map(|(_, version)| *version)
}

/// The id of the integration `core`: the same on every server.
pub fn built_in_integration_id() -> IntegrationId {
    IntegrationId(derived(BUILT_IN_INTEGRATION))
}

/// Every built-in task. Ids are derived from the method names, so they are the same on every server.
pub fn built_ins() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            description: "Returns its arguments, whatever they are.",
            input_yml: "type: object\n",
            output_yml: "type: object\n",
            definition: Definition {
                pure: true,
                takes_any: true,
                ..definition("core.echo", "Echo arguments", "object", vec![])
            },
            output_is_list: false,
        },
        BuiltIn {
            description: "Evaluates an expression over the results of earlier tasks, the request and the run.",
            input_yml: "type: object\nproperties:\n  expression:\n    type: string\nrequired:\n  - expression\n",
            output_yml: "{}\n",
            definition: Definition {
                pure: true,
                ..definition(
                    "core.evaluate",
                    "Evaluate expression",
                    "any",
                    vec![parameter(
                        1,
                        "expression",
                        EXPRESSION,
                        "The expression to evaluate.",
                        false,
                    )],
                )
            },
            output_is_list: false,
        },
        BuiltIn {
            description: "Waits.",
            input_yml: "type: object\nproperties:\n  seconds:\n    type: number\n    minimum: 0\nrequired:\n  - seconds\n",
            output_yml: "type: \"null\"\n",
            definition: definition(
                "core.sleep",
                "Sleep for a while",
                "any",
                vec![parameter(
                    1,
                    "seconds",
                    "number",
                    "How long to wait, in seconds.",
                    false,
                )],
            ),
            output_is_list: false,
        },
        BuiltIn {
            description: "Fails, always or so many times, then succeeds: for trying out what follows a failure.",
            input_yml: "type: object\nproperties:\n  message:\n    type: string\n  times:\n    type: integer\n    minimum: 0\n",
            output_yml: "type: \"null\"\n",
            definition: definition(
                "core.fail",
                "Fail on purpose",
                "any",
                vec![
                    parameter(1, "message", "string", "What the failure says.", true),
                    parameter(
                        2,
                        "times",
                        "integer",
                        "How many attempts fail; absent: all of them.",
                        true,
                    ),
                ],
            ),
            output_is_list: false,
        },
    ]
}

fn definition(method: &str, name: &str, result: &str, parameters: Vec<Parameter>) -> Definition {
    Definition {
        id: TaskDefinitionId(derived(method)),
        name: name.to_owned(),
        integration: BUILT_IN_INTEGRATION.to_owned(),
        kind: Kind::BuiltIn,
        method: method.to_owned(),
        code_digest: built_in_version(method).unwrap_or_default().to_owned(),
        pure: false,
        repeatable: true,
        takes_any: false,
        parameters,
        outputs: vec![parameter(
            1,
            "result",
            result,
            "What the task returns.",
            false,
        )],
    }
}

fn parameter(position: u32, name: &str, data_type: &str, doc: &str, optional: bool) -> Parameter {
    Parameter {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        position,
        doc_string: Some(doc.to_owned()),
        optional,
    }
}

fn derived(name: &str) -> Uuid {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plan may pin. A line changes only together with its version.
    const GOLDEN: [&str; 4] = [
        "core.echo@1 d9ee013c-feb4-8503-8127-e6c43a93b122 `Echo arguments` () -> result: object, pure, any",
        "core.evaluate@1 b3b47701-102f-8723-aeb2-780be519ebde `Evaluate expression` (expression: expression) -> result: any, pure",
        "core.sleep@1 8699d07e-cf3c-8732-8fa7-7b7e7b73a334 `Sleep for a while` (seconds: number) -> result: any",
        "core.fail@1 765bfb33-104a-89b0-b68c-23729bad8a98 `Fail on purpose` (message?: string, times?: integer) -> result: any",
    ];

    fn golden(found: &BuiltIn) -> String {
        let Definition {
            id,
            name,
            code_digest,
            ..
        } = &found.definition;
        let list = |parameters: &[Parameter]| {
            let each = |p: &Parameter| {
                format!(
                    "{}{}: {}",
                    p.name,
                    if p.optional { "?" } else { "" },
                    p.data_type
                )
            };
            parameters.iter().map(each).collect::<Vec<_>>().join(", ")
        };
        let mut line = format!(
            "{code_digest} {id} `{name}` ({})",
            list(&found.definition.parameters)
        );
        line += &format!(" -> {}", list(&found.definition.outputs));
        line += if found.definition.pure { ", pure" } else { "" };
        line += if found.definition.takes_any {
            ", any"
        } else {
            ""
        };
        line
    }

    #[test]
    fn names_parameters_ids_and_versions_are_what_plans_were_made_with() {
        let lines: Vec<String> = built_ins().iter().map(golden).collect();
        assert_eq!(lines, GOLDEN);
    }

    #[test]
    fn every_version_names_a_definition_and_the_limits_of_the_contract_hold() {
        let methods: Vec<String> = built_ins()
            .into_iter()
            .map(|b| b.definition.method)
            .collect();
        assert_eq!(methods, VERSIONS.map(|(method, _)| method));
        for found in built_ins() {
            assert!((6..=64).contains(&found.definition.name.len()));
            assert!(
                found
                    .definition
                    .code_digest
                    .starts_with(&found.definition.method)
            );
        }
    }
}
