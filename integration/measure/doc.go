// Package measure is what every benchmark of this project ends with: the
// machine that the absolute numbers belong to, and each measure beside its bar.
package measure
