//! The operator against a real control plane: one cluster for all tests, a namespace, a receiver and an operator for each.

#![expect(clippy::expect_used, reason = "what a test can't go on without")]

mod admission;
mod alert_groups;
mod alertmanager;
mod announcements;
mod bounds;
mod chart;
mod chart_lifecycle;
mod chart_names;
mod chart_test;
mod chart_values;
mod columns;
mod commands;
mod deletion;
mod delivery;
mod examples;
mod gitops;
mod harness;
mod intake;
mod journal;
mod memory;
mod metrics;
mod monitoring;
mod neighbours;
mod payload;
mod proxy;
mod reach;
mod redeliver;
mod replicas;
mod rest;
mod restart;
mod retention;
mod retries;
mod rights;
mod schema;
mod secrets;
mod status;
mod tls;
mod traces;
mod window;
