"""Why a job is where it is: facts are gathered, rules are asked in order."""
