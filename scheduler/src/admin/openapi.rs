//! The HTTP side for programs: an OpenAPI 3.1 document, whose shapes are made of the types that are sent.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{BatchTold, CHANGE_HEADER, Failure, ScheduleStanding, ScheduleTold};
use crate::dispatch::outlet::Gauges;

/// The document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let shapes = &mut settings.into_generator();
    let mut paths = json!({
        "/live": { "get": text("Whether the process runs", "It runs.", None) },
        "/ready": { "get": text(
            "Whether the ledger answers", "It does.",
            Some("It does not, or the scheduler is stopping; the text says which."),
        ) },
        "/metrics": { "get": text("Metrics in Prometheus' text format", "All metrics.", None) },
        "/api/v1/sinks": { "get": asked::<BTreeMap<String, Gauges>>(
            shapes, "Each sink by its name", "Why nothing goes there, if so, and how many are under way.",
        ) },
        "/api/v1/sinks/{name}/{order}": ordered::<BTreeMap<String, Gauges>>(
            shapes, "Switch a sink on or off, in this process", &["on", "off"],
        ),
        "/api/v1/batches/{name}/{order}": ordered::<BatchTold>(
            shapes, "Pause, resume or cancel a batch, for all schedulers", &["pause", "resume", "cancel"],
        ),
        "/api/v1/schedules": { "get": asked::<BTreeMap<String, ScheduleStanding>>(
            shapes, "Each schedule of the ledger by its name", "How far it is, and what it waits for.",
        ) },
        "/api/v1/schedules/{name}/{order}": ordered::<ScheduleTold>(
            shapes, "Pause or resume a schedule, for all schedulers", &["pause", "resume"],
        ),
        "/api/v1/openapi.json": { "get": {
            "summary": "This document",
            "responses": { "200": { "description": "The document.", "content": {
                "application/json": { "schema": { "type": "object" } } } } },
        } },
    });
    paths["/api/v1/schedules"]["get"]["responses"]["503"] = lost(shapes);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate scheduler",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health, metrics and kill switches of a running `tidegate scheduler`. It listens on a \
                loopback address only and asks for no password; the Host header must name the loopback.",
        },
        "servers": [{ "url": "http://127.0.0.1:9308" }],
        "paths": paths,
        "components": { "schemas": shapes.take_definitions(true) },
    })
}

/// A question that is answered with a text.
fn text(summary: &str, good: &str, bad: Option<&str>) -> Value {
    let plain = |about: &str| {
        let content = json!({ "text/plain": { "schema": { "type": "string" } } });
        json!({ "description": about, "content": content })
    };
    let mut responses = json!({ "200": plain(good) });
    if let Some(bad) = bad {
        responses["503"] = plain(bad);
    }
    json!({ "summary": summary, "responses": responses })
}

/// A question that is answered with JSON.
fn asked<T: JsonSchema>(shapes: &mut SchemaGenerator, summary: &str, about: &str) -> Value {
    json!({ "summary": summary, "responses": { "200": answer::<T>(shapes, about) } })
}

/// One of these orders, to something by its name.
fn ordered<T: JsonSchema>(shapes: &mut SchemaGenerator, summary: &str, orders: &[&str]) -> Value {
    let mut responses = json!({ "200": answer::<T>(shapes, "It is done.") });
    for (status, about) in [
        ("403", "The header X-Tidegate is missing, or Host is not the loopback."),
        ("404", "There is none of that name, or no such order."),
        ("409", "What it is does not allow that."),
    ] {
        responses[status] = answer::<Failure>(shapes, about);
    }
    responses["503"] = lost(shapes);
    let path = |name: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    json!({
        "parameters": [
            path("name", json!({ "type": "string" })),
            path("order", json!({ "type": "string", "enum": orders })),
        ],
        "post": {
            "summary": summary,
            "parameters": [{
                "name": CHANGE_HEADER, "in": "header", "required": true,
                "description": "Any value; no form or image of another site can send it.",
                "schema": { "type": "string" },
            }],
            "responses": responses,
        },
    })
}

fn lost(shapes: &mut SchemaGenerator) -> Value {
    answer::<Failure>(shapes, "The ledger did not do its part; ask again.")
}

fn answer<T: JsonSchema>(shapes: &mut SchemaGenerator, about: &str) -> Value {
    let schema = shapes.subschema_for::<T>();
    json!({ "description": about, "content": { "application/json": { "schema": schema } } })
}
