"""Knowledge distillation: what a student imitates of a teacher, one method a file."""
