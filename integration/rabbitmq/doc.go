// Package rabbitlab starts a real RabbitMQ for tests: one node on loopback, in
// a directory of its own, without plugins. Several labs may run at once. A lab
// ends with the process that started it, however that ends.
//
// It needs Debian's package rabbitmq-server (and no running service of it).
package rabbitlab
