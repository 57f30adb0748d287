// Package readme has no code: its tests run the commands that the README, the pages
// of docs and the recipes show, as a person would type them.
package readme
