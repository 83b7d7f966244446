//! What flows are made of: integrations and their task definitions, server-wide.

use sea_orm_migration::prelude::*;

use crate::statements;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run(
            manager,
            &[
                "CREATE TABLE integrations (
                   id uuid NOT NULL PRIMARY KEY,
                   class_name text NOT NULL,
                   name text NOT NULL,
                   short_name text NOT NULL UNIQUE,
                   auth_type text NOT NULL,
                   code_digest text,
                   path text,
                   created_at bigint NOT NULL,
                   modified_at bigint NOT NULL
                 )",
                "CREATE TABLE task_definitions (
                   id uuid NOT NULL PRIMARY KEY,
                   integration_id uuid NOT NULL REFERENCES integrations (id),
                   task_name text NOT NULL,
                   kind text NOT NULL,
                   python_method_name text NOT NULL,
                   description text NOT NULL,
                   parameters text NOT NULL,
                   input_type text NOT NULL,
                   input_yml text NOT NULL,
                   output_type text NOT NULL,
                   output_yml text NOT NULL,
                   output_parameters text NOT NULL,
                   output_is_list boolean NOT NULL,
                   pure boolean NOT NULL,
                   repeatable boolean NOT NULL,
                   takes_any boolean NOT NULL,
                   code_digest text NOT NULL,
                   created_at bigint NOT NULL,
                   modified_at bigint NOT NULL,
                   created_by_email text,
                   modified_by_email text,
                   deleted_at bigint,
                   UNIQUE (integration_id, python_method_name)
                 )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["task_definitions", "integrations"]).await
    }
}
