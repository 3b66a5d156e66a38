CREATE USER IF NOT EXISTS 'openstack'@'127.0.0.1' IDENTIFIED BY '{{.Password}}';
GRANT ALL ON *.* TO 'openstack'@'127.0.0.1';
{{range .Databases}}CREATE DATABASE IF NOT EXISTS {{.}} CHARACTER SET utf8mb3;
{{end}}
