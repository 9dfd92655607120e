"""What people see of the paid path: linking an account, prices, the question, instances in their own cloud."""
