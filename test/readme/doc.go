// Package readme has no code: its tests run the commands that the README and the recipes
// show, as a person would type them.
package readme
