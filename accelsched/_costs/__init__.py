"""What will a step cost?"""
