package test

// What you have added to AWS's sample, to which the checks hold the project otherwise. Both
// are empty here; docs/make-it-yours.md says what goes into them.

// addedPermissions are what a function's code needs and no check derives from the template.
var addedPermissions = []permission{}

// addedFunctions are functions with a state of their own between two others, by the
// function's name.
var addedFunctions = map[string]struct {
	state       string
	permanent   []string // errors that no later attempt would change
	environment []string // names of the function's environment variables
}{}
