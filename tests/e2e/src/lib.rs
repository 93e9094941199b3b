//! End-to-end tests run a whole cluster from outside: the scripts in this folder.
