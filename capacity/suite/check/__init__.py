"""Whether the files of a project are right and fit together, and the schemas that they are written by."""
