// Package config reads credence's one configuration file.
package config
